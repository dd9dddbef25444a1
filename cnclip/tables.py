"""Tables of ready text, for a terminal and in Markdown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of ready text.

    Attributes:
        title: one line above it.
        header: column names.
        rows: as many cells each as the header.
        note: one line below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def text_table(table: Table) -> str:
    """A table for a terminal; a Chinese character takes two columns."""
    grid = [list(table.header), *[[_visible(cell) for cell in row] for row in table.rows]]
    widths = [max(_columns(row[i]) for row in grid) for i in range(len(table.header))]
    numeric = numeric_columns(table)
    lines = []
    for row in grid:
        cells = zip(row, widths, numeric, strict=True)
        lines.append("  ".join(_padded(cell, width, right) for cell, width, right in cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([table.title, *lines, *([table.note] if table.note else [])])


def markdown_table(table: Table) -> str:
    """A table in Markdown."""
    numeric = numeric_columns(table)
    lines = [_markdown_row(table.header), _markdown_row(["--:" if right else "---" for right in numeric])]
    lines += [_markdown_row(row) for row in table.rows]
    note = f"\n{table.note}\n" if table.note else ""
    return f"### {table.title}\n\n" + "\n".join(lines) + f"\n{note}"


def numeric_columns(table: Table) -> list[bool]:
    """Which columns hold numbers only and are set to the right."""
    return [all(_is_number(row[index]) for row in table.rows) for index in range(len(table.header))]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _columns(text))
    return space + text if right else text + space


def _is_number(text: str) -> bool:
    return text == "-" or text.removesuffix("%").replace(".", "", 1).isdigit()


def _visible(text: str) -> str:
    """Control characters would move the cursor or change the terminal's colours."""
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in text)


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(escaped) + " |"
