"""Which cells are numbers, and what stands where."""

from __future__ import annotations

import pytest

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.chapters.markup import MOST_LETTERS, brief, column_kinds, figures, is_numeric, said


@pytest.mark.parametrize(
    "cell",
    ["14.0", "+5.81", "-3", "−3", "12%", "1,015", "14.0 [11.9, 16.1]", "< 0.001", "5.9–9.1", "3/40", "1 → 9"],
)
def test_numbers_are_known(cell: str) -> None:
    assert is_numeric(cell)


@pytest.mark.parametrize("cell", ["-", "", "R@1", "第 3 名", "ViT-B-16", "2026-11-21 起", Words("1", "2")])
def test_words_are_no_numbers(cell: str | Words) -> None:
    assert not is_numeric(cell)


def test_columns_are_numbers_short_words_or_text() -> None:
    long = "很长的一句话，长到一行放不下，所以要换行才行"
    rows = [["1.0", "甲", long, "-"], ["-", Words("乙", "B"), "短", "-"]]
    assert column_kinds(rows, 4) == ["number", "short", "text", "short"]
    assert column_kinds([], 2) == ["short", "short"]


def test_what_is_too_long_for_a_page_keeps_its_beginning_and_its_end() -> None:
    assert brief("短") == "短" and brief("字" * MOST_LETTERS) == "字" * MOST_LETTERS
    cut = brief(Words("甲" * 10_000 + "（第 3 名）", "a" * 10_000 + " (rank 3)"))
    assert isinstance(cut, Words)
    assert cut.zh.startswith("甲甲") and " … " in cut.zh and cut.zh.endswith("（第 3 名）")
    assert cut.en.endswith(" (rank 3)") and len(cut.en) <= MOST_LETTERS


def test_one_text_for_both_languages_is_said_once() -> None:
    assert said(Words("R@1", "R@1")) == "R@1" == said("R@1")
    assert said(Words("甲", "A")).count("<span") == 2
    assert figures("3 [1, 5]") == "3<small>[1, 5]</small>"
    assert figures("甲 [1, 5]") == "甲 [1, 5]", "words keep their brackets"


def test_a_number_before_words_is_said_once_in_both_languages() -> None:
    cell = figures(Words("-3.1 [-5.0, -1.0] 更差", "-3.1 [-5.0, -1.0] worse"))
    assert cell.startswith("-3.1<small>[-5.0, -1.0]</small><small><span") and cell.count("-3.1") == 1
    assert figures(Words("+5.0 太少（<20）", "+5.0 too few (<20)")).startswith("+5.0<small><span")
    for zh, en in (("3 张图", "4 pictures"), ("第 3 名", "rank 3"), ("0–5 个字", "0–5 characters")):
        assert figures(Words(zh, en)) == said(Words(zh, en))
