"""Recipes are strict, merge from left to right, and survive being written and read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from cnclip.config import TrainRecipe, parse_call, read_recipe, recipe_text
from cnclip.errors import RecipeError


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_files_merge_from_left_to_right_and_words_win(tmp_path: Path) -> None:
    one = write(tmp_path / "一.yaml", "output: a\noptimizer: {lr: 1e-3, beta2: 0.9}\n")
    two = write(tmp_path / "二.yaml", "optimizer:\n  lr: 2.0e-3\n")
    recipe = read_recipe(
        TrainRecipe, [one, two, "optimizer.eps=1e-8", "model.image.layers=[1, 2, 1, 1]", "seed=7"]
    )
    assert (recipe.output, recipe.optimizer.lr, recipe.optimizer.beta2, recipe.optimizer.eps) == (
        "a",
        2e-3,
        0.9,
        1e-8,
    )
    assert recipe.model.image.layers == (1, 2, 1, 1) and recipe.seed == 7


def test_a_resolved_recipe_reads_back_equal(tmp_path: Path) -> None:
    recipe = read_recipe(TrainRecipe, ["output=模型", "data.valid=null", "schedule.epochs=0.5"])
    assert read_recipe(TrainRecipe, [write(tmp_path / "r.yaml", recipe_text(recipe))]) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: a\ndata: {batch: 3}\n", r"unknown key 'data\.batch'"),
        ("output: a\nsed: 1\n", "unknown key 'sed'"),
        ("output: a\nseed: 1\nseed: 2\n", "stands twice"),
        ("output: a\ndata: {workers: 1, workers: 2}\n", "stands twice"),
        ("output: a\ndata:\n", "data is a section"),
        ("output: a\nseed: one\n", "seed"),
        ("output: a\nsaving: {publish: newest}\n", "publish"),
        ("seed: 1\n", "output"),
        ("- 1\n", "mapping"),
        ("a: [\n", "not YAML"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(TrainRecipe, [write(tmp_path / "r.yaml", text)])


def test_a_missing_file_and_a_misspelt_word_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no such recipe: .*nothing\.yaml"):
        read_recipe(TrainRecipe, [str(tmp_path / "nothing.yaml")])
    with pytest.raises(RecipeError, match=r"data\.batchsize"):
        read_recipe(TrainRecipe, ["output=a", "data.batchsize=3"])


def test_help_shows_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        read_recipe(TrainRecipe, ["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    for key in (
        "output",
        "model.image.locked",
        "data.cached_views",
        "optimizer.lr_scaling",
        "saving.publish",
    ):
        assert key in shown
    assert "accelerate launch" in shown


def verb(
    source: Path,
    *,
    on_bad: str = "fail-fast",
    kind: Literal["auto", "csv"] = "auto",
    count: int = 3,
    loud: bool = False,
) -> int:
    """Do something with a source.

    Examples:
      cnclip verb 图.csv --kind csv

    Args:
        source: where it lies.
        kind: what it is.
        count: how many.
        loud: say more.
        on_bad: what to do.
    """
    return count


def test_a_function_is_a_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    call = parse_call(
        verb, ["图-1.csv", "--kind", "csv", "--loud", "true", "--on-bad=a-b"], prog="cnclip verb"
    )
    assert call == {"source": Path("图-1.csv"), "kind": "csv", "count": 3, "loud": True, "on_bad": "a-b"}
    with pytest.raises(SystemExit):
        parse_call(verb, ["--help"], prog="cnclip verb")
    shown = capsys.readouterr().out
    assert (
        "cnclip verb 图.csv --kind csv" in shown
        and "where it lies" in shown
        and "--on-bad" in shown
        and "default: fail-fast" in shown
    )
    for wrong in ([], ["a", "--kind", "xml"], ["a", "--cou", "3"], ["a", "b"]):
        with pytest.raises(RecipeError):
            parse_call(verb, wrong, prog="cnclip verb")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--on-bda", "x"], "--on-bad"),
        (["--onbad=x"], "--on-bad"),
        (["--luod"], "--loud"),
        (["--kind", "cvs"], "csv"),
        (["--kind=cvs"], "csv"),
    ],
)
def test_what_was_meant_by_a_misspelt_option_is_asked(words: list[str], meant: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_call(verb, ["图.csv", *words], prog="cnclip verb")
    assert caught.value.fix is not None
    assert f"did you mean {meant}?" in caught.value.fix and "cnclip verb --help" in caught.value.fix


def many(stores: list[Path], target: Path, *, deep: bool = False, name: str | None = None) -> int:
    """Take several.

    Args:
        stores: folders.
        target: the last word.
        deep: look closely.
        name: of the result.
    """
    return 0


def test_help_speaks_no_python(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_call(many, ["--help"], prog="cnclip many")
    shown = capsys.readouterr().out
    assert "store … target" in shown and "(default: false)" in shown
    assert not any(word in shown for word in ("class", "Path", "PATH1", "None", "null", "type:"))
