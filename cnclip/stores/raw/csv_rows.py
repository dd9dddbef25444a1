"""Rows of CSV and TSV files as field -> text, with the number of their line; also as Excel saves them."""

from __future__ import annotations

import csv
import unicodedata
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

from cnclip.errors import SourceError
from cnclip.stores.raw.lines import LineFile
from cnclip.stores.raw.rows import BadRow, Report

Separator = Literal["auto", ",", "\t", ";"]
_EXCEL_FIRST_LINE = "sep="
_UNCLOSED = "not CSV: a quote is opened here and not closed"
_MOST_LINES = 64  # of one record


class CsvRows:
    """A table with a header line.

    Cells between tabs are taken as they are, save in UTF-16, which is Excel's; else quotes are understood,
    also around line ends. Excel's first line `sep=;` is no header.

    Args:
        file: the table.
        separator: of its columns; auto takes what `sep=` says, else what the first line has most of.

    Attributes:
        separator: one character.

    Raises:
        SourceError: no header, or one that names a column twice.
    """

    def __init__(self, file: LineFile, separator: Separator) -> None:
        self._file = file
        first = _first_line(file)
        self._has_sep_line = first.startswith(_EXCEL_FIRST_LINE) and len(first) == len(_EXCEL_FIRST_LINE) + 1
        if separator == "auto":
            self.separator = first[-1] if self._has_sep_line else _most_frequent(first)
        else:
            self.separator = separator
        is_plain = self.separator == "\t" and file.encoding != "utf-16"
        quoting = csv.QUOTE_NONE if is_plain else csv.QUOTE_MINIMAL
        self._dialect: dict[str, Any] = {"delimiter": self.separator, "quoting": quoting, "strict": True}
        self.header = self._read_header()

    def rows(self, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line on which the row ends, field -> cell); rows of another length are reported.

        A quote that is never closed costs its own line, not those behind it.
        """
        is_header = True
        for first, last, record in self._records(report):
            try:
                cells = next(csv.reader(record, **self._dialect))
            except csv.Error as error:
                report(BadRow(self._file.where(first), "", f"not CSV: {error}"))
                continue
            if is_header:
                is_header = False
            elif len(cells) == len(self.header):
                yield last, dict(zip(self.header, cells, strict=True))
            else:
                reason = f"columns: found {len(cells)}, the header has {len(self.header)}"
                report(BadRow(self._file.where(last), "", reason))

    def _records(self, report: Report) -> Iterator[tuple[int, int, list[str]]]:
        """(first line, last line, the lines) of each record; a cell in quotes may hold line ends."""
        lines, waiting = self._lines(report), deque[tuple[int, str]]()
        while True:
            head = waiting.popleft() if waiting else next(lines, None)
            if head is None:
                return
            taken = [head]
            while (state := self._state([line for _, line in taken])) == "open":
                more = waiting.popleft() if waiting else next(lines, None)
                if more is None or len(taken) == _MOST_LINES:
                    waiting.extendleft(reversed([*taken[1:], *([] if more is None else [more])]))
                    break
                taken.append(more)
            if state == "open" or (len(taken) > 1 and (state == "broken" or self._swallows(taken))):
                if state != "open":
                    waiting.extendleft(reversed(taken[1:]))
                report(BadRow(self._file.where(head[0]), "", _UNCLOSED))
                continue
            yield head[0], taken[-1][0], [f"{line}\n" for _, line in taken]

    def _state(self, lines: list[str]) -> Literal["whole", "open", "broken"]:
        if self._dialect["quoting"] == csv.QUOTE_NONE or '"' not in lines[0]:
            return "whole"
        try:
            next(csv.reader([f"{line}\n" for line in lines], **self._dialect))
        except csv.Error as error:
            return "open" if "unexpected end" in str(error) else "broken"
        return "whole"

    def _swallows(self, taken: list[tuple[int, str]]) -> bool:
        """Whether all lines inside a quoted cell look like rows of the table: the quote was a slip."""
        inner = [line for _, line in taken[1:-1]]
        separators = len(self.header) - 1
        return (
            len(inner) > 1
            and separators > 0
            and all(line.count(self.separator) == separators for line in inner)
        )

    def _lines(self, report: Report) -> Iterator[tuple[int, str]]:
        lines = self._file.lines(report)
        if self._has_sep_line:
            next(lines, None)
        return lines

    def _read_header(self) -> tuple[str, ...]:
        where = f"{self._file.path}:1"
        problems: list[BadRow] = []
        reader = csv.reader(_Numbered(self._lines(problems.append)), **self._dialect)
        try:
            cells = next(reader, [])
        except csv.Error as error:
            raise SourceError(
                f"the header is not CSV: {error}", where=where, fix="check --delimiter"
            ) from None
        if problems:
            raise SourceError(
                f"the header is {problems[0].reason}", where=where, fix="give the right --encoding"
            )
        header = tuple(unicodedata.normalize("NFC", name.strip()) for name in cells)
        if not header:
            raise SourceError("the table is empty", where=where, fix="name the columns in the first line")
        if len(set(header)) != len(header):
            raise SourceError(
                f"a column is named twice: {', '.join(header)}", where=where, fix="rename one of them"
            )
        return header


class _Numbered:
    """Lines for the csv module, which wants line ends, and the number of the last one given."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self.number = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        return line + "\n"


def _first_line(file: LineFile) -> str:
    lines = file.lines(lambda _: None)  # a bad first line is reported when the header is read
    return next(lines, (0, ""))[1]


def _most_frequent(header: str) -> str:
    """Comma, semicolon or tab; the comma where none stands there."""
    counts = {separator: header.count(separator) for separator in (",", ";", "\t")}
    return max(counts, key=lambda separator: counts[separator])
