"""One verb, two doors: the programs of the clone and the verbs of the wheel are the same."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from cnclip.commands import VERBS, main

ROOT = Path(__file__).resolve().parent.parent
DOORS = sorted(path for folder in ("data_tools", "eval", "recipes") for path in (ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*verb.split(), "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert "Examples:" in shown and f"usage: cnclip {verb}" in shown


def test_usage_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"cnclip {verb}" in shown for verb in VERBS)


def test_an_unknown_verb_is_named_with_the_alternatives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "bild"]) == 2
    shown = capsys.readouterr().err
    assert "error[E201]" in shown and "data bild" in shown and "data build" in shown


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.name)
def test_a_door_is_short_explains_itself_and_is_no_importable_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    if path.name != "prepare_emoji.py":  # a program of its own: it needs nothing but the standard library
        assert len(text.splitlines()) <= 60
    assert path.stem not in sys.stdlib_module_names
    assert not (path.parent / "__init__.py").exists()


@pytest.mark.parametrize("name", ["data_tools/build_store.py", "eval/retrieval.py", "recipes/train.py"])
def test_a_door_of_each_folder_runs_from_anywhere(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / name), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.name)
def test_a_door_explains_itself_from_anywhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as stop:  # as a program, in this process: that saves importing torch
        runpy.run_path(str(path), run_name="__main__")
    shown = capsys.readouterr()
    assert not stop.value.code, shown.err
    assert "usage" in shown.out.lower()
    if path.parent.name == "eval" and path.stem in ("retrieval", "zeroshot"):
        assert "--output" in shown.out and "checkpoint" in shown.out
