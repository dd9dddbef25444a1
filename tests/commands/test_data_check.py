"""`cnclip data check`: what users see, and what the exit code says to a script."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cnclip.artifacts import verify_dir
from cnclip.commands import main
from cnclip.commands.data_check import check, run_check
from cnclip.errors import ArtifactError, RecipeError, StoreError
from cnclip.stores.raw import read_source
from cnclip.stores.writer import BuildOptions, build_store


@pytest.fixture
def damaged_store(shapes_source: Callable[[Path], Path], tmp_path: Path) -> Path:
    """The coloured shapes with one picture that is none, built without opening them."""
    source = shapes_source(tmp_path / "源")
    (source.parent / "图" / "坏.png").write_bytes(b"<html>404</html>")
    with open(source, "a", encoding="utf-8") as file:
        file.write(json.dumps({"image": "图/坏.png", "captions": ["坏图"]}, ensure_ascii=False) + "\n")
    build_store(read_source(source), tmp_path / "坏仓", options=BuildOptions())
    return tmp_path / "坏仓"


def test_a_good_store_ends_with_0_and_the_verdict(
    shapes_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check([str(shapes_store), "--workers", "1", "--batch-size", "8"]) == 0
    shown = capsys.readouterr()
    assert "数据概况 The data" in shown.out and "批内假负样本的期望 Expected false negatives" in shown.out
    assert shown.out.rstrip().splitlines()[-1].startswith("可以训练 training may start")
    assert "\r" not in shown.out


def test_an_undecodable_picture_ends_with_3_and_with_0_where_it_is_allowed(
    damaged_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(damaged_store), "--workers=1", "--batch-size", "8"]
    assert run_check(words) == 3
    shown = capsys.readouterr().out
    assert "[错误 error] 读不了的图片或文本" in shown
    assert shown.rstrip().splitlines()[-1].startswith("先别训练 do not train yet")
    assert run_check([*words, "--max-undecodable", "0.1"]) == 0


def test_the_report_is_one_verified_folder_that_the_next_run_replaces(
    shapes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "报告" / "体检"
    words = [str(shapes_store), "--workers", "1", "--output", str(output), "--context-length", "8"]
    code = run_check(words)
    manifest = verify_dir(output)
    assert set(manifest.files) == {"report.json", "report.html", "duplicates.jsonl", "leaks.jsonl"}
    assert manifest.facts == {"kind": "data check", "should_train": code == 0}
    assert f"report: {output / 'report.html'}" in capsys.readouterr().out
    assert json.loads((output / "report.json").read_text("utf-8"))["options"]["context_length"] == 8
    assert run_check([*words[:-1], "52"]) == 0
    assert json.loads((output / "report.json").read_text("utf-8"))["options"]["context_length"] == 52


def test_a_folder_of_the_user_is_not_replaced(shapes_store: Path, tmp_path: Path) -> None:
    (tmp_path / "重要.txt").write_text("不要删", encoding="utf-8")
    with pytest.raises(ArtifactError, match="no report of this command"):
        run_check([str(shapes_store), "--workers", "1", "--output", str(tmp_path)])
    assert (tmp_path / "重要.txt").exists()


def test_a_store_that_leaks_into_another_ends_with_3(
    shapes_store: Path, damaged_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--workers",
        "1",
        "--max-undecodable",
        "1",
        str(shapes_store),
        "--batch-size",
        "8",
        str(damaged_store),
    ]
    assert run_check(words) == 3
    assert "24 / 24 (100.00%)" in capsys.readouterr().out


def test_truncation_is_judged_by_the_context_length_given(shapes_store: Path) -> None:
    words = [str(shapes_store), "--workers", "1", "--batch-size", "8"]
    assert run_check([*words, "--context-length", "5"]) == 3
    assert (
        run_check([*words, "--context-length", "5", "--max-truncated", "1", "--max-false-negatives", "1"])
        == 0
    )


def test_workers_are_processes_and_change_nothing(
    shapes_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for workers in ("1", "2"):
        run_check([str(shapes_store), "--workers", workers])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--near", "13"], "near"),
        (["--context-length", "1"], "context_length"),
        (["--max-leakage", "2"], "--max-leakage"),
        (["--nearr", "3"], "nearr"),
        (["--near"], "near"),
    ],
)
def test_wrong_options_are_named(words: list[str], message: str, shapes_store: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        run_check([str(shapes_store), *words])


def test_without_a_store_the_missing_word_is_named() -> None:
    with pytest.raises(RecipeError, match="stores"):
        run_check([])


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        run_check([str(tmp_path / "没有")])


def test_help_lists_every_option_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_check(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and "Examples:" in shown and "usage: cnclip data check" in shown
    for name in list(inspect.signature(check).parameters)[1:]:
        assert f"--{name.replace('_', '-')}" in shown


def test_report_never_takes_the_place_of_a_store_or_a_model(shapes_store: Path, tmp_path: Path) -> None:
    victim = tmp_path / "库"
    shutil.copytree(shapes_store, victim)
    before = sorted(file.name for file in victim.rglob("*"))
    assert main(["data", "check", str(shapes_store), "--output", str(victim)]) == 4
    assert sorted(file.name for file in victim.rglob("*")) == before
    for _ in range(2):  # a report of its own is replaced
        assert main(["data", "check", str(shapes_store), "--output", str(tmp_path / "报告")]) in (0, 3)
