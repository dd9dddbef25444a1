"""Markdown says all that the page says, in both languages, and no caption becomes markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.chapters.markdown import report_markdown

Make = Callable[..., Any]


def test_every_block_is_there_in_both_languages(chapters: Make) -> None:
    text = report_markdown(Words("报告", "Report"), chapters())
    assert text.startswith("# 报告 Report\n\n## 章苹果 chapter 苹果\n\n章苹果\n\nchapter 苹果\n")
    assert "空 none" not in text
    lines = text.splitlines()
    assert "| 苹果 | 14.0 [11.9, 16.1] |" in lines and "| --- | --: |" in lines
    assert "| 1 | 10 | 1 |" in lines, "a chart's numbers"
    assert "| 0–0.5 | 40.0 |" in lines
    assert "| 中苹果 en 苹果 | 5 | 4–6 | +5 苹果 |" in lines
    assert "- 苹果" in lines and "  - 苹果2: 苹果 ✓ 0.310" in lines
    assert "- 中苹果 en 苹果: 苹果" in lines
    assert "~~~\n苹果\n~~~" in text


def test_a_caption_cannot_become_markup_or_hide(chapters: Make) -> None:
    text = report_markdown(Words("报告", "Report"), chapters("<b>*x*\n# 题\u202e"))
    said = "\\<b\\>\\*x\\* \\# 题\ufffd"
    assert f"- {said}" in text and f"### {said}" in text
    assert f"| {said} | 14.0" in text
    outside = text.replace("~~~\n<b>*x*\n# 题\ufffd\n~~~", "")
    assert not any(line.startswith("# ") or "<b>" in line for line in outside.splitlines()[1:])
