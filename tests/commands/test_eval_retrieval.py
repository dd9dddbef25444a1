"""`cnclip eval retrieval` on several models, by several processes, in cn_clip's way, without labels."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_retrieval import model_labels, run_retrieval
from cnclip.errors import CnclipError, RecipeError, SourceError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store

PICTURES = 21


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    colour = (number * 67 % 256, number * 29 % 256, number * 101 % 256)
    Image.new("RGB", (20, 20), colour).save(buffer, "png")
    return buffer.getvalue()


def build(folder: Path, *, answers: Sequence[Sequence[int]]) -> Path:
    """21 pictures with numbers as ids; caption number i belongs to the pictures `answers[i]`."""
    folder.mkdir(parents=True)
    pictures = [f"{number}\t{base64.b64encode(png(number)).decode()}\n" for number in range(PICTURES)]
    (folder / "valid_imgs.tsv").write_text("".join(pictures), encoding="utf-8")
    lines = [
        json.dumps(
            {"text_id": text, "text": f"第{text}张图" + "很长" * (text % 5), "image_ids": list(images)}
        )
        for text, images in enumerate(answers)
    ]
    (folder / "valid_texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_store(read_source(folder / "valid_texts.jsonl"), folder / "valid")
    return folder / "valid"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 captions: two pictures for some, none for every tenth."""
    answers = [[] if text % 10 == 9 else sorted({text % PICTURES, text * 3 % PICTURES}) for text in range(30)]
    return build(tmp_path_factory.mktemp("库") / "源", answers=answers)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    architecture = ClipArchitecture(embed_dim=16, image=image, text=text)
    folders = [tmp_path_factory.mktemp("模型") / name for name in ("甲", "乙")]
    for seed, folder in enumerate(folders):
        save_checkpoint(ChineseClip(architecture, seed=seed), folder)
    return folders


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_two_models_give_one_table_a_comparison_in_words_and_a_folder_each(
    models: list[Path], store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(models[0]), f"--model={models[1]}", "--data", str(store)]
    assert run_retrieval([*words, "--output", str(tmp_path), "--bootstrap", "200", "--k", "1,3"]) == 0
    shown = capsys.readouterr().out
    assert (
        shown.count("图文检索 Retrieval") == 1 and "R@3" in shown and "nDCG@10" in shown and "95 %" in shown
    )
    assert "与 甲" in shown or "好于" in shown
    for name in ("甲", "乙"):
        results = read(tmp_path / name / "results.json")
        found = results["text_to_image"]
        assert (found["queries"], found["unlabelled"]) == (27, 3)
        assert set(found["intervals"]) == {
            "r1", "r3", "mean_recall", "mean_rank", "median_rank", "mrr", "map", "ndcg10",
        }  # fmt: skip
        for key, (low, high) in found["intervals"].items():
            assert low <= found[key] <= high
        assert results["run"]["bootstrap"] == {"samples": 200, "seed": 0}
        assert "--k 1,3" in results["run"]["command"]
        assert (tmp_path / name / "per_query.npz").is_file()
    comparison = read(tmp_path / "comparison.json")
    assert {(one["direction"], one["metric"]) for one in comparison} >= {("t2i", "r1"), ("i2t", "map")}
    assert "R@1 (t2i)" in (tmp_path / "report.tex").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "甲" in page and ("没有可靠差别" in page or "可靠地好于" in page)
    assert ("do not differ reliably" in page) == (not all(one["differs"] for one in comparison))
    assert not (tmp_path / "results.json").exists(), "one for each model, none that could be taken for one"


def test_two_processes_give_the_files_of_one_bit_for_bit(
    models: list[Path], store: Path, tmp_path: Path
) -> None:
    words = ["eval", "retrieval", str(models[0]), str(store), "--batch-size", "4", "--output"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    environment["GLOO_SOCKET_IFNAME"] = "lo"
    starts = {
        "eins": [sys.executable, "-m", "cnclip"],
        "zwei": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
    }
    starts["zwei"] += ["-m", "cnclip"]
    shown = {}
    for name, start in starts.items():
        command = [*start, *words, str(tmp_path / name)]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        shown[name] = done.stdout.replace(name, "")
    assert shown["zwei"] == shown["eins"], "only one process prints"
    one, two = tmp_path / "eins", tmp_path / "zwei"
    for kind in ("images", "texts"):
        for file in ("embeddings.npy", "ids.json"):
            assert (one / "embeddings" / kind / file).read_bytes() == (
                two / "embeddings" / kind / file
            ).read_bytes()
    with np.load(one / "per_query.npz") as first, np.load(two / "per_query.npz") as second:
        assert first.files == second.files
        assert all(np.array_equal(first[name], second[name]) for name in first.files)
    first_results, second_results = read(one / "results.json"), read(two / "results.json")
    del first_results["run"], second_results["run"]
    assert first_results == second_results


def test_a_cache_serves_every_output_and_knows_the_precision(
    models: list[Path], store: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "缓存"
    words = [str(models[0]), str(store), "--cache", str(cache), "--bootstrap", "0"]

    def kept() -> dict[str, int]:
        return {path.parent.name: path.stat().st_ino for path in cache.glob("*/embeddings.npy")}

    assert run_retrieval([*words, "--output", str(tmp_path / "a")]) == 0
    first = kept()
    assert len(first) == 2 and not (tmp_path / "a" / "embeddings").exists()
    assert run_retrieval([*words, "--output", str(tmp_path / "b")]) == 0
    assert kept() == first
    assert "intervals" not in read(tmp_path / "b" / "results.json")["text_to_image"]
    assert run_retrieval([*words, "--precision", "bf16", "--output", str(tmp_path / "c")]) == 0
    assert len(kept()) == 4 and first.items() <= kept().items()
    assert read(tmp_path / "c" / "results.json")["run"]["precision"] == "bf16"
    full, half = (read(tmp_path / name / "results.json")["text_to_image"]["mrr"] for name in "ac")
    assert half == pytest.approx(full, abs=15)
    assert run_retrieval([str(models[1]), *words[1:]]) == 0
    assert len(kept()) == 6


def test_the_protocol_of_cn_clip_writes_its_files_and_counts_empty_answers_as_misses(
    models: list[Path], store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(models[0]), str(store), "--protocol", "cn_clip", "--output", str(tmp_path)]
    assert run_retrieval(words) == 0
    assert "按 cn_clip 的算法" in capsys.readouterr().out
    results, output = read(tmp_path / "results.json"), read(tmp_path / "output.json")
    predictions = [
        json.loads(line) for line in (tmp_path / "valid_predictions.jsonl").read_text().splitlines()
    ]
    gold = [json.loads(line) for line in (store.parent / "valid_texts.jsonl").read_text("utf-8").splitlines()]
    hits = [
        set(row["image_ids"][:5]) & set(ours["image_ids"])
        for row, ours in zip(predictions, gold, strict=True)
    ]
    assert output["scoreJson"]["r5"] == pytest.approx(100 * sum(map(bool, hits)) / 30)
    assert results["cn_clip"]["text_to_image"]["queries"] == 30
    assert results["cn_clip"]["text_to_image"]["without_answer"] == 3
    assert results["text_to_image"]["queries"] == 27
    assert read(tmp_path / "output_tr.json")["success"] is True
    assert len((tmp_path / "valid_tr_predictions.jsonl").read_text().splitlines()) == PICTURES


def test_a_run_that_fails_says_so_in_cn_clips_file_in_place_of_an_older_score(
    models: list[Path], store: Path, tmp_path: Path
) -> None:
    (tmp_path / "output.json").write_text('{"success": true}')
    with pytest.raises(CnclipError):
        run_retrieval(["没有/模型", str(store), "--protocol", "cn_clip", "--output", str(tmp_path)])
    assert read(tmp_path / "output.json")["success"] is False
    with pytest.raises(RecipeError, match="writes files"):
        run_retrieval([str(models[0]), str(store), "--protocol", "cn_clip"])


def test_a_test_split_without_answers_gives_a_submission_and_no_numbers(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build(tmp_path / "test", answers=[[] for _ in range(12)])
    with pytest.raises(SourceError, match="nothing to measure") as raised:
        run_retrieval([str(models[0]), str(store)])
    assert "--submission" in str(raised.value.fix)
    file = tmp_path / "test_predictions.jsonl"
    assert run_retrieval([str(models[0]), str(store), "--submission", str(file), "--directions", "both"]) == 0
    assert "R@1" not in capsys.readouterr().out
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["text_id"] for row in rows] == list(range(12))
    assert all(len(set(row["image_ids"])) == 10 for row in rows)
    turned = [json.loads(line) for line in (tmp_path / "test_predictions.tr.jsonl").read_text().splitlines()]
    assert len(turned) == PICTURES and set(turned[0]) == {"image_id", "text_ids"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m", "--model", "m", "--data", "s"], "stands twice"),
        (["m", "--data", "s", "--data", "t"], "one store at a time"),
        (["m", "s", "--k", "0,5"], "numbers from 1 on"),
        (["m", "s", "--k", "eins"], "numbers from 1 on"),
        (["m", "s", "--protocol", "cn_clip", "--output", "o", "--k", "1"], "1, 5 and 10"),
        (["m", "n", "s", "--submission", "f"], "2 models"),
        (["m", "s", "--bootstrap", "-1"], "0 or more"),
        (["m", "s", "--bootstrap"], "needs a value"),
        (["m", "s", "--precision", "fp64"], "--help"),
        (["m"], "no store"),
        (["m", "--output", "r/x"], "no store"),
        (["--model", "m"], "no store"),
        (["--data", "s"], "no model"),
        ([], "no model and no store"),
        (["m", "s", "--output", "o", "--corrections", "softmax"], "no such"),
        (["m", "s", "--corrections", "csls"], "told of in the report"),
        (["m", "s", "--seen", "t"], "told of in the report"),
        (["m", "s", "--output", "o", "--corrections", "clss"], "did you mean csls"),
        (
            ["m", "s", "--output", "o", "--corrections", "csls", "--corrections", "qb_norm"],
            "not of the test set",
        ),
        (["m", "s", "--output", "o", "--bank", "b"], "for corrections"),
        (["a/b", "c/b", "a_b", "s", "--output", "o"], "the same folder"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run_retrieval(words)


def test_models_that_end_alike_keep_their_whole_names() -> None:
    here = Path.cwd()
    assert model_labels([".", ".."]) == {here.name: ".", here.parent.name: ".."}
    assert model_labels(["a/final", "b/final", "ViT-B-16"]) == {
        "a/final": "a/final",
        "b/final": "b/final",
        "ViT-B-16": "ViT-B-16",
    }
