"""The migration pages leave no flag out and name only what exists."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from cnclip.commands import VERBS
from cnclip.config import TrainRecipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"docs/migration_zh.md": ("不需要", "尚无"), "docs/migration.md": ("not needed", "not yet")}
FLAGS = [  # cn_clip 1.6, cn_clip/training/params.py, in its order
    "train-data",
    "val-data",
    "num-workers",
    "valid-num-workers",
    "logs",
    "name",
    "log-interval",
    "report-training-batch-acc",
    "batch-size",
    "valid-batch-size",
    "max-steps",
    "max-epochs",
    "valid-step-interval",
    "valid-epoch-interval",
    "context-length",
    "lr",
    "beta1",
    "beta2",
    "eps",
    "wd",
    "warmup",
    "use-bn-sync",
    "use-augment",
    "skip-scheduler",
    "save-epoch-frequency",
    "save-step-frequency",
    "resume",
    "reset-optimizer",
    "reset-data-offset",
    "precision",
    "vision-model",
    "mask-ratio",
    "clip-weight-path",
    "freeze-vision",
    "text-model",
    "bert-weight-path",
    "grad-checkpointing",
    "use-flash-attention",
    "accum-freq",
    "gather-with-grad",
    "skip-aggregate",
    "debug",
    "seed",
    "distillation",
    "teacher-model-name",
    "kd_loss_weight",
]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def flag_rows(page: str) -> list[list[str]]:
    """Cells of the rows that begin with a flag."""
    rows = [line.strip("|").split("|") for line in text(page).splitlines() if line.startswith("| `--")]
    return [[cell.strip() for cell in row] for row in rows]


def recipe_keys(schema: type, prefix: str = "") -> set[str]:
    """Every key of the recipe, sections included."""
    keys = set()
    for name, kind in typing.get_type_hints(schema).items():
        keys.add(prefix + name)
        if dataclasses.is_dataclass(kind):
            keys |= recipe_keys(typing.cast(type, kind), f"{prefix}{name}.")
    return keys


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_has_its_row_in_order(page: str) -> None:
    assert len(FLAGS) == 46
    assert [row[0] for row in flag_rows(page)] == [f"`--{flag}`" for flag in FLAGS]


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_is_a_key_of_the_recipe_or_says_no(page: str) -> None:
    keys = recipe_keys(TrainRecipe)
    assert {"model.image.patch_dropout", "seed", "model"} <= keys
    for flag, _, answer, _ in flag_rows(page):
        if answer not in PAGES[page]:
            assert re.fullmatch(r"`[a-z0-9_.]+`", answer), f"{page}: {flag}"
            assert answer.strip("`") in keys, f"{page}: {flag} -> {answer}"


@pytest.mark.parametrize("page", PAGES)
def test_keys_elsewhere_on_the_page_exist_too(page: str) -> None:
    keys = recipe_keys(TrainRecipe)
    sections = {field.name for field in dataclasses.fields(TrainRecipe) if "." not in field.name}
    sections -= {"output", "run"}
    for name in re.findall(r"`([a-z_]+(?:\.[a-z0-9_]+)+)(?:: \w+)?`", text(page)):
        if name.split(".")[0] in sections and not name.endswith((".eval", ".pt")):
            assert name in keys, f"{page}: {name}"


def test_the_pages_are_twins() -> None:
    chinese, english = (flag_rows(page) for page in PAGES)
    words = dict(zip(PAGES["docs/migration_zh.md"], PAGES["docs/migration.md"], strict=True))
    assert [words.get(row[2], row[2]) for row in chinese] == [row[2] for row in english]
    heads = [re.findall(r"^#+", text(page), flags=re.MULTILINE) for page in PAGES]
    assert heads[0] == heads[1]
    rows = [sum(line.startswith("|") for line in text(page).splitlines()) for page in PAGES]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("page", PAGES)
def test_files_and_verbs_on_the_page_exist(page: str) -> None:
    for path in re.findall(r"`((?:recipes|benchmarks)/[\w./-]*)`", text(page)):
        assert (ROOT / path).exists(), path
    groups = {name.split()[0] for name in VERBS}
    for first, second in re.findall(r"`cnclip ([a-z]+)(?: ([a-z]+))?", text(page)):
        if first in groups:
            assert first in VERBS or f"{first} {second}" in VERBS, f"{first} {second}"


def test_imports_on_the_pages_run() -> None:
    chinese, english = (
        [re.sub(r"\s*#.*", "", block) for block in re.findall(r"```python\n(.*?)```", text(page), re.DOTALL)]
        for page in PAGES
    )
    assert chinese == english != []
    for block in chinese:
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
