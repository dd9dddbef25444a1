"""The measuring commands, from a saved checkpoint and a built store to tables and files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands import main
from cnclip.evaluation.evaluate import evaluate_store
from cnclip.images.transform import image_transform
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store
from cnclip.zoo import load_from_name

COLOURS = {"红": "red", "绿": "green", "蓝": "blue", "黄": "yellow", "紫": "purple", "黑": "black"}


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    folder = tmp_path_factory.mktemp("模型") / "小模型"
    save_checkpoint(ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text), seed=1), folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("源")
    for name, colour in COLOURS.items():
        (source / f"{name}.png").write_bytes(png(colour))
        (source / f"{name}.txt").write_text(f"{name}色的方块\n{name}", encoding="utf-8")
    path = tmp_path_factory.mktemp("库") / "颜色"
    build_store(read_source(source), path)
    return path


@pytest.fixture
def class_file(tmp_path: Path) -> Path:
    path = tmp_path / "类.txt"
    path.write_text("\n".join(COLOURS) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    path = tmp_path / "模板.txt"
    path.write_text("{}\n一张{}色的图\n", encoding="utf-8")
    return path


def test_retrieval_prints_the_table_and_writes_nothing_without_output(
    checkpoint: Path, store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["eval", "retrieval", str(checkpoint), str(store)]) == 0
    shown = capsys.readouterr().out
    assert "文搜图" in shown and "图搜文" in shown and "小模型" in shown and "chance" in shown
    assert list(tmp_path.iterdir()) == []


def test_retrieval_writes_results_that_equal_a_validation(
    checkpoint: Path, store: Path, tmp_path: Path
) -> None:
    output = tmp_path / "报告"
    queries = "红色的水果；下雨天;会飞的动物"
    arguments = [
        "eval",
        "retrieval",
        str(checkpoint),
        str(store),
        "--output",
        str(output),
        "--queries",
        queries,
    ]
    assert main(arguments) == 0
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    model, transform = load_from_name(checkpoint, device="cpu")
    reader = StoreReader(store)
    expected = evaluate_store(model, reader, transform=transform, progress=False)
    assert results["success"] is True
    for name, direction in (("text_to_image", expected.t2i), ("image_to_text", expected.i2t)):
        assert results[name]["r1"] == pytest.approx(direction.recall[1], abs=1e-3)
        assert results[name]["mean_recall"] == pytest.approx(direction.mean_recall, abs=1e-3)
        assert results[name]["queries"] == direction.queries
    assert results["counts"] == {"images": 6, "texts": 12, "pairs": 12, "repeated_captions": 0}
    run = results["run"]
    assert run["data"] == {"path": str(store), "fingerprint": reader.fingerprint}
    assert run["preprocessing"] == image_transform(16).fingerprint
    assert len(run["checkpoint"]["image_tower"]) == len(run["checkpoint"]["text_tower"]) == 64
    assert {"load", "images", "texts", "ranks", "intervals"} <= set(run["seconds"])
    page = (output / "report.html").read_text(encoding="utf-8")
    for query in ("红色的水果", "下雨天", "会飞的动物", "最难的查询", "最好的查询"):
        assert query in page
    assert "| 文搜图 Text → image |" in (output / "report.md").read_text(encoding="utf-8")


def test_embeddings_are_kept_and_used_again_for_the_same_model_only(
    checkpoint: Path, store: Path, tmp_path: Path
) -> None:
    output = tmp_path / "r"
    arguments = ["eval", "retrieval", str(checkpoint), str(store), "--output", str(output)]
    assert main(arguments) == 0
    kept = {kind: output / "embeddings" / kind / "embeddings.npy" for kind in ("images", "texts")}
    before = {kind: (file.stat().st_ino, np.load(file)) for kind, file in kept.items()}
    assert main(arguments) == 0
    assert {kind: file.stat().st_ino for kind, file in kept.items()} == {k: v[0] for k, v in before.items()}
    other = ChineseClip(load_from_name(checkpoint, device="cpu")[0].architecture, seed=2)
    save_checkpoint(other, tmp_path / "other")
    assert main(["eval", "retrieval", str(tmp_path / "other"), *arguments[3:]]) == 0
    for kind, file in kept.items():
        assert np.abs(np.load(file) - before[kind][1]).max() > 0.01


def test_queries_may_stand_in_a_file(
    checkpoint: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "查询.txt").write_text("红色\n\n会飞的动物\n", encoding="utf-8")
    assert (
        main(["eval", "retrieval", str(checkpoint), str(store), "--queries", str(tmp_path / "查询.txt")]) == 0
    )
    shown = capsys.readouterr().out
    assert "\n红色: " in shown and "\n会飞的动物: " in shown


def test_zeroshot_on_class_folders(
    checkpoint: Path, class_file: Path, templates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, colour in COLOURS.items():
        (tmp_path / "图" / name).mkdir(parents=True)
        (tmp_path / "图" / name / "a.png").write_bytes(png(colour))
    output = tmp_path / "r"
    arguments = [str(checkpoint), str(tmp_path / "图"), str(class_file), "--templates", str(templates)]
    assert main(["eval", "zeroshot", *arguments, "--output", str(output)]) == 0
    assert "top-1" in capsys.readouterr().out
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert results["images"] == 6 and results["templates"] == ["{}", "一张{}色的图"]
    assert [row["name"] for row in results["classes"]] == list(COLOURS)
    assert "Hardest classes" in (output / "report.md").read_text(encoding="utf-8")


def test_zeroshot_on_a_store_leaves_unlabelled_pictures_out_and_says_so(
    checkpoint: Path, store: Path, class_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "l.jsonl"
    rows = [{"image_id": f"{name}.png", "label": name} for name in list(COLOURS)[:4]]
    labels.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    output = tmp_path / "r"
    arguments = [
        str(checkpoint),
        str(store),
        str(class_file),
        "--labels",
        str(labels),
        "--output",
        str(output),
    ]
    assert main(["eval", "zeroshot", *arguments]) == 0
    assert "without a label, left out: 2" in capsys.readouterr().out
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert (results["images"], results["unlabelled"], results["empty_classes"]) == (4, 2, 2)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"checkpoint": "没有/模型"}, 2, "没有/模型"),
        ({"store": "没有的库"}, 4, "no such store"),
        ({"--queries": " ;；"}, 3, "no queries"),
        ({"--queries": ""}, 3, "no queries"),
        ({"--queries": "queries.txt"}, 3, "no such file of queries"),
        ({"--device": "cuda:99"}, 2, "cuda:99"),
        ({"--batch_sizes": "3"}, 2, "--help"),
    ],
)
def test_wrong_arguments_end_with_their_code_and_a_remedy(
    checkpoint: Path,
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    code: int,
    message: str,
) -> None:
    words = [change.get("checkpoint", str(checkpoint)), change.get("store", str(store))]
    words += ["--output", str(tmp_path / "r")]
    words += [word for pair in change.items() if pair[0].startswith("--") for word in pair]
    assert main(["eval", "retrieval", *words]) == code
    shown = capsys.readouterr().err
    assert message in shown and "error[E" in shown
    assert not (tmp_path / "r" / "results.json").exists()
