"""The pages on data say the same in both languages, and name only what there is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnclip.commands import (
    VERBS,
    data,
    data_clean,
    data_derive,
    data_export,
    data_filter,
    data_parts,
    data_peek,
)
from cnclip.commands.data_build import build
from cnclip.commands.data_check import check
from cnclip.config.data import DataConfig
from cnclip.images.augment import AUGMENT_POLICIES
from cnclip.stores.raw.options import SOURCE_KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/data_zh.md", "docs/data.md")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "build": build, "check": check, "peek": data_peek.peek, "stats": data.stats, "show": data.show,
    "subset": data_derive.subset, "merge": data_derive.merge, "split": data_parts.split,
    "dedup": data_parts.dedup, "clean": data_clean.clean, "filter": data_filter.filter_pairs,
    "export": data_export.export,
}  # fmt: skip


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block, without comments and explanations."""
    found = re.findall(r"```(\w+)\n(.*?)```", text(page), flags=re.DOTALL)
    return [(kind, re.sub(r"\s*#.*", "", content)) for kind, content in found if kind != "text"]


def test_the_pages_are_twins() -> None:
    chinese, english = PAGES
    assert blocks(chinese) == blocks(english)
    shapes = [re.findall(r"^(?:#+|\|)", text(page), flags=re.MULTILINE) for page in PAGES]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_on_the_page_exists(page: str) -> None:
    for verb, rest in re.findall(r"cnclip data ([a-z]+)([^`\n#]*)", text(page)):
        assert f"data {verb}" in VERBS
        known = set(inspect.signature(FUNCTIONS[verb]).parameters)
        options = {option.replace("-", "_") for option in re.findall(r"--([a-z-]+)", rest)}
        assert options <= known, (verb, options - known)
    for option in re.findall(r"^\| `--([a-z-]+)", text(page), flags=re.MULTILINE):
        assert option.replace("-", "_") in inspect.signature(build).parameters, option
    assert re.findall(r"^\| `(\w+)` \|.*\|.*\|$", text(page), flags=re.MULTILINE)[:9] == [
        "table", "folder", "classes", "cn_clip", "lmdb", "coco", "flickr", "webdataset", "parquet",
    ]  # fmt: skip
    assert len(SOURCE_KINDS) == 9


@pytest.mark.parametrize("page", PAGES)
def test_recipe_keys_policies_and_links_on_the_page_exist(page: str) -> None:
    (recipe,) = (content for kind, content in blocks(page) if kind == "yaml")
    assert set(yaml.safe_load(recipe)["data"]) <= {field.name for field in fields(DataConfig)}
    for name in AUGMENT_POLICIES:
        assert f"`{name}`" in text(page)
    for link in re.findall(r"\]\(([^)#]+)", text(page)):
        assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"benchmarks/[\w.]+", text(page)):
        assert (ROOT / path).exists(), path
