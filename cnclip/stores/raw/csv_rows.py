"""Rows of CSV and TSV files as field -> text, with the number of their line; also as Excel saves them."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

from cnclip.errors import SourceError
from cnclip.stores.raw.lines import LineFile
from cnclip.stores.raw.rows import BadRow, Report

Separator = Literal["auto", ",", "\t", ";"]
_EXCEL_FIRST_LINE = "sep="


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
        """(line on which the row ends, field -> cell); rows of another length are reported."""
        lines = _Numbered(self._lines(report))
        reader = csv.reader(lines, **self._dialect)
        is_header = True
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                report(BadRow(self._file.where(lines.number), "", f"not CSV: {error}"))
                continue
            if is_header:
                is_header = False
            elif len(cells) == len(self.header):
                yield lines.number, dict(zip(self.header, cells, strict=True))
            else:
                reason = f"columns: found {len(cells)}, the header has {len(self.header)}"
                report(BadRow(self._file.where(lines.number), "", reason))

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
