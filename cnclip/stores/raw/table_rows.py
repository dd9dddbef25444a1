"""Rows of a table file, whichever of the forms it has: CSV, TSV, JSON lines, a JSON list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from cnclip.errors import CnclipError, SourceError
from cnclip.stores.raw.captions import CAPTION_FIELDS
from cnclip.stores.raw.columns import IMAGE_COLUMNS, name_of
from cnclip.stores.raw.csv_rows import CsvRows, Separator
from cnclip.stores.raw.json_stream import JsonFile
from cnclip.stores.raw.lines import LineFile
from cnclip.stores.raw.rows import BadRow, Report, RowProblem
from cnclip.stores.raw.walk import few_files, told_before

Delimiter = Literal["auto", "comma", "tab", "semicolon"]
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")
_DELIMITERS: dict[Delimiter, Separator] = {"comma": ",", "tab": "\t", "semicolon": ";"}


class TableRows(Protocol):
    """Rows with their numbers; `header` is None where each row names its fields anew."""

    @property
    def header(self) -> tuple[str, ...] | None: ...

    def rows(self, report: Report) -> Iterator[tuple[int, dict[str, Any]]]: ...


class _JsonLines:
    """One object per line."""

    header = None

    def __init__(self, file: LineFile) -> None:
        self._file = file

    def rows(self, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._file.objects(report)


class _JsonList:
    """One list of objects, which are counted from 1."""

    header = None

    def __init__(self, file: LineFile) -> None:
        self._file = file

    def rows(self, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, row in JsonFile(self._file.path, self._file.name).items(None):
            if isinstance(row, dict):
                yield number + 1, row
            else:
                report(BadRow(self._file.where(number + 1), "", "not a JSON object: the item is none"))


def open_rows(file: LineFile, delimiter: Delimiter) -> TableRows:
    """The rows of a table file, by its name.

    Raises:
        SourceError: CSV without a header.
    """
    name = file.path.name.lower().removesuffix(".gz")
    if name.endswith(".jsonl"):
        return _JsonLines(file)
    if name.endswith(".json"):
        return _JsonList(file)
    is_tsv = name.endswith(".tsv") and file.encoding != "utf-16"
    return CsvRows(file, _DELIMITERS.get(delimiter, "\t" if is_tsv else "auto"))


def is_table(path: Path) -> bool:
    """Whether a file is called like a table, or is a JSON list of objects."""
    name = path.name.lower()
    if name.endswith((".json", ".json.gz")):
        try:
            first = next(JsonFile(path, path.name).items(None), None)
        except SourceError:
            return False
        return first is not None and isinstance(first[1], dict)
    return name.endswith(TABLE_SUFFIXES)


def table_in(folder: Path) -> Path | None:
    """The table of a folder of pictures: Hugging Face's metadata.jsonl or .csv, or the only one that fits."""
    found = [file for file in few_files(folder, TABLE_SUFFIXES) if _fits(file)]
    named = [file for file in found if file.name.startswith("metadata.")]
    for candidates in (named, found):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _fits(file: Path) -> bool:
    """Whether a table has a column for the picture and one for the caption."""
    try:
        rows = open_rows(LineFile(file, root=file.parent, encoding="auto"), "auto")
        fields = dict.fromkeys(rows.header) if rows.header else next(rows.rows(told_before), (0, {}))[1]
        name_of(fields, None, IMAGE_COLUMNS, "image")
        name_of(fields, None, CAPTION_FIELDS, "caption")
    except (CnclipError, RowProblem):
        return False
    return True


def table_of(folder: Path) -> Path:
    """The table of a folder.

    Raises:
        SourceError: none, or several.
    """
    found = table_in(folder)
    if found is None:
        names = ", ".join(file.name for file in few_files(folder, TABLE_SUFFIXES)) or "none"
        what = f"no table, or several, with a picture and a caption column in the folder; tables: {names}"
        raise SourceError(what, where=str(folder), fix="give the table itself")
    return found
