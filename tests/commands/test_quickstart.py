"""The quickstart, run for real on some of the bundled pictures with hardly any training, and run again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

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


@pytest.fixture(params=[pytest.param(1, marks=pytest.mark.nightly), 5])
def clone(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clone of the repository with one emoji in so many; README's commands are run on all of them."""
    folder = tmp_path / "仓库"
    shutil.copytree(ROOT / "cnclip", folder / "cnclip", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data_tools", "eval", "recipes"):
        ignored = shutil.ignore_patterns("__pycache__", "*.zip", "emoji.jsonl")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "emoji-en-tiny").symlink_to(ROOT / "checkpoints" / "emoji-en-tiny")
    packed = ROOT / "recipes" / "emoji"
    things = (packed / "emoji.jsonl").read_text("utf-8").splitlines(keepends=True)[:: request.param]
    (folder / "recipes" / "emoji" / "emoji.jsonl").write_text("".join(things), "utf-8")
    kept = {f"{json.loads(thing)['hexcode']}.webp" for thing in things}
    for path in packed.glob("*.zip"):
        with ZipFile(path) as whole, ZipFile(folder / "recipes" / "emoji" / path.name, "w") as part:
            for name in sorted(kept & set(whole.namelist())):
                part.writestr(name, whole.read(name))
    return folder


def test_quickstart_walks_the_whole_road_and_repeats_nothing(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "快速上手"

    def quickstart() -> str:
        """What it prints, started as `make quickstart` does."""
        command = [sys.executable, "-m", "cnclip", "quickstart", "--folder", str(folder), "--minutes", "0.05"]
        environment = {**os.environ, "PYTHONPATH": str(clone)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = quickstart()
    for word in ("[1/6]", "[6/6]", "R@10", "MR", "chance", "after stage 1", "after stage 2", "peak memory"):
        assert word in shown
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(query in page for query in QUERIES) and "data:image" in page
    results = read_json(folder / "results.json")
    with ZipFile(clone / "recipes" / "emoji" / "twemoji.zip") as held_out:
        queries = len(held_out.namelist())
    assert queries > 200
    for stage in ("emoji_stage1", "emoji_stage2"):
        assert results[stage]["retrieval"]["text_to_image"]["queries"] == queries
        assert 0 <= results[stage]["zeroshot"]["top1"] <= 100
    assert quickstart().count("done before") == 5  # three stores, two stages
    model, _ = load_from_name(str(tmp_path / "checkpoints" / "emoji-stage2"), device="cpu")
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
