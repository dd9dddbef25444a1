"""`cnclip eval zeroshot`, from a saved checkpoint to tables, files and a page."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_zeroshot import zeroshot
from cnclip.config import parse_call
from cnclip.errors import CnclipError, RecipeError, SourceError, UnknownNameError
from cnclip.evaluation.embed import embed_texts
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store
from cnclip.zoo import load_from_name

ROOT = Path(__file__).parents[2]
COLOURS = {"红": "red", "绿": "green", "蓝": "blue", "黄": "yellow", "紫": "purple", "黑": "black"}


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(buffer, "png")
    return buffer.getvalue()


def run(*words: object) -> int:
    return zeroshot(**parse_call(zeroshot, [str(word) for word in words], prog="cnclip eval zeroshot"))


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    folder = tmp_path_factory.mktemp("模型") / "小模型"
    save_checkpoint(ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text), seed=1), folder)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("图 片")
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for number in range(2):
            (root / name / f"{number}.png").write_bytes(png(colour))
    return root


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("源")
    for name, colour in COLOURS.items():
        (source / f"{name}.png").write_bytes(png(colour))
        (source / f"{name}.txt").write_text(f"{name}色的方块", encoding="utf-8")
    path = tmp_path_factory.mktemp("库") / "颜色"
    build_store(read_source(source), path)
    return path


def lines(path: Path, *rows: object) -> Path:
    words = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(words) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def class_file(tmp_path: Path) -> Path:
    return lines(tmp_path / "类.txt", *COLOURS)


def test_class_folders_give_tables_results_and_a_page_with_pictures(
    checkpoint: Path, tree: Path, class_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "报告"
    assert run(checkpoint, tree, class_file, "--templates", "short", "--output", output) == 0
    shown = capsys.readouterr().out
    for words in ("top-1", "95% 区间", "最难的类别", "校准", "report:"):
        assert words in shown
    found = results(output)
    assert found["success"] is True and found["images"] == 12 and found["unlabelled"] == 0
    assert [each["name"] for each in found["classes"]] == list(COLOURS)
    assert len(found["templates"]) == 8 and found["template_weights"] is None and found["dataset"] is None
    assert found["metric"]["name"] == "accuracy" and found["metric"]["value"] == found["top1"]
    assert set(found["run"]["seconds"]) == {"load", "images", "classifier", "measure"}
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "最常混淆" in page and page.count("<img") >= 1 and "http://" not in page and "https://" not in page
    assert "| 黑 |" in (output / "report.md").read_text(encoding="utf-8")


def test_a_store_leaves_unlabelled_pictures_out_and_says_so(
    checkpoint: Path, store: Path, class_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"image_id": f"{name}.png", "label": name} for name in list(COLOURS)[:4]]
    labels = lines(tmp_path / "l.jsonl", *rows)
    assert run(checkpoint, store, class_file, "--labels", labels, "--output", tmp_path / "r") == 0
    assert "without a label, left out: 2" in capsys.readouterr().out
    found = results(tmp_path / "r")
    assert (found["images"], found["unlabelled"], found["empty_classes"]) == (4, 2, 2)


def test_pictures_with_several_labels_are_judged_by_average_precision(
    checkpoint: Path, store: Path, class_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = list(COLOURS)
    rows = [
        {"image_id": f"{name}.png", "labels": [name, names[0]], "unsure": [names[place - 2]]}
        for place, name in enumerate(names)
    ]
    rows[2]["unsure"] = []
    labels = lines(tmp_path / "l.jsonl", *rows)
    words = [checkpoint, store, class_file, "--labels", labels, "--output", tmp_path / "r"]
    assert run(*words, "--templates", "short", "--weight-templates") == 0
    assert results(tmp_path / "r")["template_weights"]["equal"]["metric"] > 0
    assert run(*words) == 0
    assert "11point_mAP" in capsys.readouterr().out
    found = results(tmp_path / "r")
    assert found["metric"]["name"] == "11point_mAP" and found["classes"][0]["images"] == 6
    assert found["classes"][0]["average_precision"] == 100  # every picture shows it
    with pytest.raises(SourceError, match="one class per picture"):
        run(checkpoint, store, class_file, "--labels", labels, "--metric", "accuracy")


def test_template_weights_are_learned_and_their_effect_reported(
    checkpoint: Path, tree: Path, class_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [checkpoint, tree, class_file, "--output", tmp_path / "r", "--weight-templates"]
    assert run(*words, "--templates", "short") == 0
    assert "模板权重" in capsys.readouterr().out
    weights = results(tmp_path / "r")["template_weights"]
    assert len(weights["weights"]) == 8 and sum(weights["weights"]) == pytest.approx(1, abs=1e-4)
    assert weights["pictures"] == 12 and "differs" in weights["difference"]
    with pytest.raises(RecipeError, match="one template"):
        run(*words)


def test_ready_embeddings_are_classified_and_a_submission_is_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["正常组织", "肿瘤组织"]
    classes = lines(tmp_path / "c.txt", *names)
    model, _ = load_from_name(checkpoint, device="cpu")
    rows = embed_texts(model, names, progress=None).rows
    np.savez(tmp_path / "e.npz", embeddings=5 * rows[[0, 1, 0]], labels=np.array([0, 1, 0]))
    lines(tmp_path / "index.json", "[1, 2, 0]")
    words = [checkpoint, tmp_path / "e.npz", classes, "--dataset", "patch-camelyon", "--templates", "bare"]
    words += ["--submission", tmp_path / "s", "--index", tmp_path / "index.json", "--output", tmp_path / "r"]
    assert run(*words) == 0
    assert "submission:" in capsys.readouterr().out
    assert results(tmp_path / "r")["top1"] == 100 and results(tmp_path / "r")["dataset"] == "patch-camelyon"
    with zipfile.ZipFile(tmp_path / "s" / "all_predictions.zip") as archive:
        (entry,) = json.loads(archive.read("all_predictions.json"))["data"]
    assert entry["model_name"] == "小模型" and entry["dataset_name"] == "patch-camelyon"
    assert entry["num_params"] == sum(parameter.numel() for parameter in model.parameters())
    assert [int(np.argmax(row)) for row in entry["predictions"][0]] == [1, 0, 0]


def test_a_data_set_brings_its_metric_and_its_templates(checkpoint: Path, tmp_path: Path) -> None:
    classes = lines(tmp_path / "c.txt", "正常", "仇恨")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), dtype=np.uint8)
    np.savez(tmp_path / "p.npz", pixels=pixels, labels=np.array([0, 1, 0, 1, 0, 1]))
    words = [
        checkpoint,
        tmp_path / "p.npz",
        classes,
        "--dataset",
        "hateful-memes",
        "--output",
        tmp_path / "r",
    ]
    assert run(*words) == 0
    found = results(tmp_path / "r")
    assert found["metric"]["name"] == "roc_auc" and len(found["templates"]) == 6
    assert "一张{}的配字图" in found["templates"]


def test_namesakes_need_the_switch_and_count_as_wrong(
    checkpoint: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = sorted(COLOURS)
    classes = lines(
        tmp_path / "c.txt", *(f"{name}\t{'彩色' if place < 2 else name}" for place, name in enumerate(ids))
    )
    with pytest.raises(SourceError, match="stands twice"):
        run(checkpoint, tree, classes)
    assert run(checkpoint, tree, classes, "--allow-repeated-names", "--output", tmp_path / "r") == 0
    assert "同名" in capsys.readouterr().out
    found = results(tmp_path / "r")
    assert found["namesakes"]["classes"] == 2 and found["namesakes"]["images"] == 4
    assert [each["top1"] for each in found["classes"]][:2] == [0, 0]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (["--templates", "genral"], UnknownNameError, "did you mean general"),
        (["--dataset", "imagenet"], UnknownNameError, "no ELEVATER data set"),
        (["--dataset", "cifar-10"], SourceError, "6 class names, but cifar-10 has 10"),
        (["--submission", "s"], RecipeError, "need --dataset"),
        (["--metric", "roc_auc"], SourceError, "two classes, not 6"),
        (["--metric", "f1"], RecipeError, "mean-per-class"),
    ],
)
def test_wrong_options_are_errors_before_the_model_is_opened(
    tree: Path, class_file: Path, options: list[str], kind: type[CnclipError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        run("没有的模型", tree, class_file, *options)
    assert message in str(caught.value)


def test_misordered_folders_a_store_without_labels_and_foreign_embeddings_are_refused(
    checkpoint: Path, tree: Path, store: Path, class_file: Path, tmp_path: Path
) -> None:
    short = lines(tmp_path / "五.txt", *list(COLOURS)[:5])
    with pytest.raises(SourceError, match="5 lines and 6 class folders"):
        run(checkpoint, tree, short)
    np.savez(tmp_path / "e.npz", embeddings=np.ones((2, 7)), labels=np.array([0, 1]))
    with pytest.raises(SourceError, match="does not say which class"):
        run(checkpoint, store, class_file)
    with pytest.raises(SourceError, match="7 columns, 小模型 makes 16"):
        run(checkpoint, tmp_path / "e.npz", class_file)


def test_embeddings_are_kept_and_used_again_for_the_same_pictures_and_model_only(
    checkpoint: Path, store: Path, class_file: Path, tmp_path: Path
) -> None:
    all_rows = [{"image_id": f"{name}.png", "label": name} for name in COLOURS]
    labels, fewer = lines(tmp_path / "l.jsonl", *all_rows), lines(tmp_path / "f.jsonl", *all_rows[:3])
    words = [checkpoint, store, class_file, "--output", tmp_path / "r", "--labels"]
    file = tmp_path / "r" / "embeddings" / "images" / "embeddings.npy"
    assert run(*words, labels) == 0
    first = file.stat().st_ino
    assert run(*words, labels, "--templates", "short") == 0
    assert file.stat().st_ino == first
    assert run(*words, fewer) == 0
    assert len(np.load(file)) == 3 and results(tmp_path / "r")["images"] == 3


def test_a_changed_picture_of_a_folder_is_embedded_again(
    checkpoint: Path, class_file: Path, tmp_path: Path
) -> None:
    for name, colour in COLOURS.items():
        (tmp_path / "图" / name).mkdir(parents=True)
        (tmp_path / "图" / name / "a.png").write_bytes(png(colour))
    words = [checkpoint, tmp_path / "图", class_file, "--cache", tmp_path / "c"]
    assert run(*words) == 0 and run(*words) == 0
    assert len(list((tmp_path / "c").iterdir())) == 1
    (tmp_path / "图" / "红" / "a.png").write_bytes(png("white"))
    assert run(*words) == 0
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_two_processes_find_the_same_as_one(
    checkpoint: Path, tree: Path, class_file: Path, tmp_path: Path
) -> None:
    words = [str(word) for word in (checkpoint, tree, class_file, "--batch_size", 5)]
    assert run(*words, "--output", tmp_path / "one") == 0
    program = tmp_path / "both.py"
    program.write_text(
        "import sys\n"
        "from cnclip.commands.eval_zeroshot import zeroshot\n"
        "from cnclip.config import parse_call\n"
        "zeroshot(**parse_call(zeroshot, sys.argv[1:], prog='zeroshot'))\n",
        encoding="utf-8",
    )
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(program),
    ]
    command = [*launch, *words, "--output", str(tmp_path / "two"), "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top-1") == 2  # once in the first table, once in the table of classes
    one, two = (results(tmp_path / folder) for folder in ("one", "two"))
    for found in (one, two):
        found["run"].pop("seconds")
        found["run"].pop("command")  # the folders differ
    assert one == two


def test_a_run_is_tested_against_an_earlier_one_on_the_same_pictures(
    checkpoint: Path,
    tree: Path,
    store: Path,
    class_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [checkpoint, tree, class_file, "--output"]
    assert run(*words, tmp_path / "one") == 0 and results(tmp_path / "one")["against"] is None
    assert run(*words, tmp_path / "two", "--against", tmp_path / "one") == 0
    assert "只有 12 个独立样本，太少" in capsys.readouterr().out
    found = results(tmp_path / "two")["against"]
    assert (
        found["run"] == str(tmp_path / "one") and found["top1"]["value"] == 0 and not found["top5"]["differs"]
    )
    assert "只有 12 个独立样本" in (tmp_path / "two" / "report.md").read_text(encoding="utf-8")
    labels = lines(tmp_path / "l.jsonl", *({"image_id": f"{name}.png", "label": name} for name in COLOURS))
    with pytest.raises(SourceError, match="different pictures: 12 and 6, 6 of them new"):
        run(checkpoint, store, class_file, "--labels", labels, "--against", tmp_path / "one")
    with pytest.raises(SourceError, match="has no ranks of its pictures"):
        run(*words, tmp_path / "three", "--against", tmp_path)
    with pytest.raises(SourceError, match=r"no such folder: .*没有"):
        run(*words, tmp_path / "three", "--against", tmp_path / "没有")
    (tmp_path / "per_query.npz").touch()
    with pytest.raises(SourceError, match="is a retrieval run, not a zero-shot one"):
        run(*words, tmp_path / "three", "--against", tmp_path)


def test_a_run_with_other_labels_or_classes_is_not_tested_against_an_earlier_one(
    checkpoint: Path, store: Path, class_file: Path, tmp_path: Path
) -> None:
    names = list(COLOURS)
    right = lines(tmp_path / "r.jsonl", *({"image_id": f"{n}.png", "label": n} for n in names))
    wrong = lines(tmp_path / "w.jsonl", *({"image_id": f"{n}.png", "label": names[0]} for n in names))
    words = (checkpoint, store)
    assert run(*words, class_file, "--labels", right, "--output", tmp_path / "one") == 0
    against = ("--against", tmp_path / "one")
    with pytest.raises(SourceError, match="5 of 6 pictures have another class"):
        run(*words, class_file, "--labels", wrong, *against)
    more = lines(tmp_path / "more.txt", *names, "白")
    with pytest.raises(SourceError, match="among 6 classes, the other among 7"):
        run(*words, more, "--labels", right, *against)
    reworded = lines(tmp_path / "o.txt", *(f"{name}\t{name}色" for name in names))
    assert run(*words, reworded, "--labels", right, *against) == 0  # the same classes in other words


def test_the_fingerprint_covers_pictures_labels_and_class_names(
    checkpoint: Path, store: Path, class_file: Path, tmp_path: Path
) -> None:
    names = list(COLOURS)
    right = lines(tmp_path / "r.jsonl", *({"image_id": f"{n}.png", "label": n} for n in names))
    wrong = lines(tmp_path / "w.jsonl", *({"image_id": f"{n}.png", "label": names[0]} for n in names))
    other = lines(tmp_path / "o.txt", *(f"{name}\t{name}色" for name in names))
    seen = set()
    for classes, labels in ((class_file, right), (class_file, wrong), (other, right), (class_file, right)):
        assert run(checkpoint, store, classes, "--labels", labels, "--output", tmp_path / "out") == 0
        seen.add(results(tmp_path / "out")["run"]["data"]["fingerprint"])
    assert len(seen) == 3


def test_the_report_holds_the_command_that_makes_it_again(
    checkpoint: Path, tree: Path, class_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "报 告"
    words = [checkpoint, tree, class_file, "--templates", "short", "--weight-templates", "--output", output]
    assert run(*words) == 0
    command = shlex.split(results(output)["run"]["command"])
    assert command[:3] == ["cnclip", "eval", "zeroshot"]
    given = parse_call(zeroshot, [str(word) for word in words], prog="cnclip eval zeroshot")
    assert parse_call(zeroshot, command[3:], prog="cnclip eval zeroshot") == given
    for name in ("report.md", "report.html"):
        assert "--weight-templates true" in (output / name).read_text(encoding="utf-8")
