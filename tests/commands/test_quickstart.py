"""The quickstart, run for real on the bundled pictures with hardly any training, and run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnclip import load_from_name
from cnclip.artifacts import read_json, verify_dir
from cnclip.commands import main
from cnclip.commands.quickstart import QUERIES
from cnclip.errors import RecipeError
from cnclip.evaluation.classes import read_class_names

ROOT = Path(__file__).resolve().parents[2]


def test_the_bundled_image_tower_is_whole_and_small() -> None:
    folder = ROOT / "checkpoints" / "emoji-en-tiny"
    manifest = verify_dir(folder)
    assert {"model.safetensors", "architecture.json", "recipe.yaml", "metrics.json"} <= set(manifest.files)
    assert sum(size for size, _ in manifest.files.values()) < 8e6


def test_the_bundled_pictures_stay_small_and_keep_their_licences() -> None:
    folder = ROOT / "recipes" / "emoji"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8e6
    licences = (folder / "LICENSES.md").read_text(encoding="utf-8")
    assert all(path.name in licences for path in folder.glob("*.zip"))


def test_quickstart_walks_the_whole_road_and_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "快速上手"
    command = ["quickstart", "--folder", str(folder), "--minutes", "0.05"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    for word in ("[1/6]", "[6/6]", "R@10", "MR", "chance", "after stage 1", "after stage 2", "peak memory"):
        assert word in shown
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(query in page for query in QUERIES) and "data:image" in page
    results = read_json(folder / "results.json")
    for stage in ("emoji_stage1", "emoji_stage2"):
        assert results[stage]["retrieval"]["text_to_image"]["queries"] == 1015
        assert 0 <= results[stage]["zeroshot"]["top1"] <= 100
    assert main(command) == 0
    again = capsys.readouterr().out
    assert again.count("done before") == 5  # three stores, two stages
    model, _ = load_from_name("checkpoints/emoji-stage2", device="cpu")
    assert not model.training


def test_a_wrong_number_of_minutes_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUICKSTART_MINUTES", "zehn")
    assert main(["quickstart"]) == RecipeError.exit_code
    assert "QUICKSTART_MINUTES=zehn" in capsys.readouterr().err


def test_class_files_name_the_groups_of_the_bundled_pictures() -> None:
    things = [
        json.loads(line) for line in (ROOT / "recipes/emoji/emoji.jsonl").read_text("utf-8").splitlines()
    ]
    for field, name in (("group_zh", "emoji_groups_zh.txt"), ("subgroup", "emoji_subgroups_zh.txt")):
        classes = read_class_names(ROOT / "eval" / "labels" / name)
        assert set(classes.ids or []) == {thing[field] for thing in things}
