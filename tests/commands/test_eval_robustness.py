"""`cnclip eval robustness` and `composition` from a saved checkpoint and a built store to their reports."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from cnclip.checkpoints import save_checkpoint
from cnclip.commands.eval_robustness import run_composition, run_robustness
from cnclip.errors import RecipeError, UnknownNameError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store

COLOURS = {"红": "red", "绿": "green", "蓝": "blue", "黄": "yellow", "紫": "purple", "黑": "black"}


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    image = VitArchitecture(width=32, layers=1, heads=2, patch_size=8, resolution=16)
    text = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=64)
    folder = tmp_path_factory.mktemp("模型") / "小模型"
    save_checkpoint(ChineseClip(ClipArchitecture(embed_dim=16, image=image, text=text), seed=1), folder)
    return str(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    source = tmp_path_factory.mktemp("源")
    for name, colour in COLOURS.items():
        (source / f"{name}.png").write_bytes(png(colour))
        (source / f"{name}.txt").write_text(f"两个{name}色的方块在桌子上。\n{name}", encoding="utf-8")
    path = tmp_path_factory.mktemp("库") / "颜色"
    build_store(read_source(source), path)
    return str(path)


def test_robustness_writes_its_report_and_uses_embeddings_again(
    checkpoint: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", checkpoint, f"--data={store}", "--output", str(tmp_path), "--bootstrap", "20"]
    assert run_robustness(words) == 0
    shown = capsys.readouterr().out
    assert "两→2" in shown and str(tmp_path / "report.html") in shown
    first = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert first["success"] and first["kinds"]["digits"]["captions"] == 6
    assert first["run"]["data"]["path"] == store and "eval robustness" in first["run"]["command"]
    made = (tmp_path / "embeddings" / "images" / "MANIFEST.json").stat().st_mtime_ns
    assert run_robustness(words) == 0
    assert (tmp_path / "embeddings" / "images" / "MANIFEST.json").stat().st_mtime_ns == made
    again = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert again["kinds"] == first["kinds"]
    assert "两个红色的方块在桌子上。" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_composition_counts_each_kind(
    checkpoint: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [checkpoint, store, "--kinds", "colour,number,up-down", "--output", str(tmp_path)]
    assert run_composition([*words, "--bootstrap", "20"]) == 0
    assert "换颜色" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(results["kinds"]) == {"colour", "number", "up-down", "all"}
    assert results["kinds"]["number"]["items"] == 6
    assert results["kinds"]["all"]["items"] == sum(
        results["kinds"][name]["items"] for name in ("colour", "number", "up-down")
    )
    assert results["kinds"]["all"]["verdict"] == "too few"
    assert results["kinds"]["all"]["failures"], "an untrained model gets some wrong"
    assert "data:image" in (tmp_path / "failures.html").read_text(encoding="utf-8")


def test_unknown_kinds_and_senseless_numbers_are_refused(checkpoint: str, store: str) -> None:
    with pytest.raises(UnknownNameError, match="kind of change 'colour'"):
        run_robustness([checkpoint, store, "--kinds", "colour"])
    with pytest.raises(UnknownNameError, match="kind of false caption 'digits'"):
        run_composition([checkpoint, store, "--kinds", "digits"])
    with pytest.raises(RecipeError, match="bootstrap 0"):
        run_robustness([checkpoint, store, "--bootstrap", "0"])
    with pytest.raises(RecipeError, match="--data needs one value"):
        run_robustness(["--checkpoint", checkpoint, "--data"])
