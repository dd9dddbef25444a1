"""The pages on evaluation say the same in both languages, and name only what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnclip.commands import VERBS, main

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/evaluation_zh.md", "docs/evaluation.md")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", text(page), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_pages_are_twins() -> None:
    chinese, english = PAGES
    assert commands(chinese) == commands(english)
    shapes = [re.findall(r"^(?:#+|\||-)", text(page), flags=re.MULTILINE) for page in PAGES]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("line", commands(PAGES[0]))
def test_every_command_and_option_on_the_page_exists(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb = " ".join(line.split()[1:3])
    assert verb in VERBS
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help"])
    usage = capsys.readouterr().out
    told = {option for option in re.findall(r"--[a-z-]+", line) if option not in ("--model", "--data")}
    assert told <= set(re.findall(r"--[a-z-]+", usage)), line


@pytest.mark.parametrize("page", PAGES)
def test_files_and_sets_on_the_page_exist(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)", text(page)):
        assert (ROOT / "docs" / link).exists(), link
    for name in ("general", "short", "e_commerce", "satellite", "food", "plants", "texture", "faces"):
        assert f"`{name}`" in text(page) and (ROOT / "eval" / "templates" / f"{name}.txt").is_file()
    assert (ROOT / "eval" / "labels" / "cifar100_zh.txt").is_file()
