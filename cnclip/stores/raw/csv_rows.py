"""Rows of CSV and TSV files as field -> text, with the number of their line."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.lines import LineFile
from cnclip.stores.raw.rows import BadRow, Report


class CsvRows:
    """A table with a header line.

    Cells between tabs are taken as they are; with other separators quotes are understood, also around
    line ends.

    Args:
        file: the table.
        separator: of its columns, one character.

    Raises:
        SourceError: no header, or one that names a column twice.
    """

    def __init__(self, file: LineFile, separator: str) -> None:
        self._file = file
        quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
        self._dialect: dict[str, Any] = {"delimiter": separator, "quoting": quoting, "strict": True}
        self.header = self._read_header()

    def rows(self, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line on which the row ends, field -> cell); rows of another length are reported."""
        lines = _Numbered(self._file.lines(report))
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

    def _read_header(self) -> tuple[str, ...]:
        where = f"{self._file.path}:1"
        problems: list[BadRow] = []
        reader = csv.reader(_Numbered(self._file.lines(problems.append)), **self._dialect)
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
