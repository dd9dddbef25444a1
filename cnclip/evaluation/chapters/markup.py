"""Text as HTML that stays text, and the same said in two languages with their marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Literal

from cnclip.evaluation.chapters.blocks import Cell, Words

_NUMBER = re.compile(r"[-+−–—<>≤≥=≈±\s]*\d[\d\s.,:%‰×→/()\[\]+−–-]*")
_LEADING = re.compile(r"([-+−]?\d[\d.,]*%?(?: \[[^\[\]]+\])?) (\D.*)")  # a number, then words
MOST_LETTERS = 240  # of a caption on a page; the whole of it is in the store
_END = 60
_SHORT = 26  # letters of a column that is kept on one line
_WITH_INTERVAL = re.compile(r"(.*\S)\s+(\[[^\[\]]+\])")


def escaped(value: str) -> str:
    """For text and quoted attributes; control and direction-changing characters are made visible."""
    return escape("".join("\ufffd" if is_hidden(character) else character for character in value), quote=True)


def is_hidden(character: str) -> bool:
    """Whether a character cannot be seen; the zero-width joiner is let through: it holds emoji together."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in "\n\t\u200d"


def brief(words: Cell) -> Cell:
    """A caption, or a heading that begins with one, without its middle where it is too long to be shown."""
    if isinstance(words, Words):
        return Words(brief_text(words.zh), brief_text(words.en))
    return brief_text(words)


def brief_text(text: str) -> str:
    """The same of one text."""
    if len(text) <= MOST_LETTERS:
        return text
    return f"{text[: MOST_LETTERS - _END - 3]} … {text[-_END:]}"


def said(words: Cell, tag: str = "span") -> str:
    """Text of one language as it is; in two languages, one element for each, which the page's switch shows.

    Args:
        words: what is said.
        tag: of the elements: `span`, or `tspan` in a picture.
    """
    if isinstance(words, str):
        return escaped(words)
    if words.zh == words.en:
        return escaped(words.zh)
    return (
        f'<{tag} class="zh" lang="zh-CN">{escaped(words.zh)}</{tag}> '
        f'<{tag} class="en" lang="en">{escaped(words.en)}</{tag}>'
    )


def plain(words: Cell) -> str:
    """Both languages for an attribute, which cannot be switched."""
    return escaped(words if isinstance(words, str) else words.both)


def figures(cell: Cell) -> str:
    """A table's cell: below a number, smaller, its interval, and words that follow it in both languages."""
    if isinstance(cell, str):
        found = _WITH_INTERVAL.fullmatch(cell) if is_numeric(cell) else None
        return f"{escaped(found[1])}<small>{escaped(found[2])}</small>" if found else said(cell)
    parts = _LEADING.fullmatch(cell.zh), _LEADING.fullmatch(cell.en)
    if parts[0] is None or parts[1] is None or parts[0][1] != parts[1][1]:
        return said(cell)
    return f"{figures(parts[0][1])}<small>{said(Words(parts[0][2], parts[1][2]))}</small>"


def is_numeric(cell: Cell) -> bool:
    """Whether a cell is a number, with or without sign, unit, interval."""
    return isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()) is not None


def column_kinds(rows: Sequence[Sequence[Cell]], width: int) -> list[Literal["number", "short", "text"]]:
    """Of each column: numbers, or dashes in their place; short words that stay on one line; longer text."""
    found: list[Literal["number", "short", "text"]] = []
    for place in range(width):
        cells = [row[place] for row in rows]
        numbers = [is_numeric(cell) for cell in cells]
        blank = [isinstance(cell, str) and cell.strip() in ("", "-", "–", "—") for cell in cells]
        if any(numbers) and all(map(max, numbers, blank)):
            found.append("number")
        else:
            found.append("short" if all(_columns(cell) <= _SHORT for cell in cells) else "text")
    return found


def _columns(cell: Cell) -> int:
    """Width of a cell in letters; a Chinese character takes two."""
    texts = [cell] if isinstance(cell, str) else [cell.zh, cell.en]
    return max(sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text) for text in texts)


def both_or_one(words: Words) -> tuple[tuple[str, str], ...]:
    """(text, class) of each text that a picture draws: one where both languages are equal."""
    return ((words.zh, ""),) if words.zh == words.en else ((words.zh, "zh"), (words.en, "en"))
