"""CSV, TSV and JSONL tables whose rows name a picture file and its caption or captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cnclip.errors import SourceError
from cnclip.stores.raw.csv_rows import CsvRows
from cnclip.stores.raw.files import find_picture, read_picture
from cnclip.stores.raw.lines import Encoding, LineFile
from cnclip.stores.raw.rows import (
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    shown,
)

Delimiter = Literal["auto", "comma", "tab", "semicolon"]
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")
IMAGE_COLUMNS = (
    "image",
    "image_path",
    "filepath",
    "file_path",
    "file_name",
    "filename",
    "path",
    "file",
    "图片",
)
CAPTION_COLUMNS = ("caption", "captions", "text", "texts", "title", "description", "描述", "标题")
_DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";"}


@dataclass(frozen=True)
class TableColumns:
    """Which column or JSON field holds what; None = the first known name that the table has.

    Attributes:
        image: path of the picture file, relative to `image_root`.
        caption: a caption, or in JSONL a list of captions.
        image_id: the picture's id; without it the path is the id.
        text_id: the caption's id; without it the row's line number (`17`; `17#2` for the second of a list).
        image_root: the folder that pictures must lie in; None = the table's own.
        where: column -> value; other rows are passed over.
    """

    image: str | None = None
    caption: str | None = None
    image_id: str | None = None
    text_id: str | None = None
    image_root: Path | None = None
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    line: int
    fields: Mapping[str, Any]


class TableSource:
    """A table of (picture file, caption) rows.

    CSV is read with quotes, TSV without them (a caption may begin with one); both need a header line.

    Args:
        path: a .csv, .tsv or .jsonl file.
        columns: names and filters.
        delimiter: of the columns; `auto` goes by the file's suffix.
        encoding: of the file.

    Raises:
        SourceError: no such file or folder, no header, a column that the header lacks.
    """

    def __init__(
        self,
        path: Path,
        *,
        columns: TableColumns | None = None,
        delimiter: Delimiter = "auto",
        encoding: Encoding = "utf-8",
    ) -> None:
        self.root = path.parent
        self.inputs: tuple[Path, ...] = (path,)
        self._file = LineFile(path, root=self.root, encoding=encoding)
        self._columns = columns or TableColumns()
        self.facts = {"kind": "table", "file": path.name, "where": dict(self._columns.where)}
        image_root = self._columns.image_root or self.root
        if not image_root.is_dir():
            raise SourceError(
                f"no such folder: {image_root}", where=str(path), fix="give another --image-root"
            )
        self._image_root = image_root.resolve()
        self._csv: CsvRows | None = None
        if path.suffix.lower() != ".jsonl":
            name = ("tab" if path.suffix.lower() == ".tsv" else "comma") if delimiter == "auto" else delimiter
            self._csv = CsvRows(self._file, _DELIMITERS[name])
            self._check_header(self._csv.header)

    @property
    def share_read(self) -> float | None:
        return self._file.share_read

    def images(self, report: Report) -> Iterator[RawImage]:
        """The picture of each row; rows that repeat a picture have the same origin."""
        for row in self._rows(report):
            where = self._file.where(row.line)
            image_id = ""
            try:
                name = self._image_name(row.fields)
                image_id = self._image_id(row.fields, name)
                path = find_picture(name, self._image_root)
            except RowProblem as problem:
                report(BadRow(where, image_id, str(problem)))
                continue
            yield RawImage(image_id, where, partial(read_picture, path), origin=str(path))

    def texts(self, report: Report) -> Iterator[RawText]:
        """The captions of each row."""
        for row in self._rows(_told_before):
            where = self._file.where(row.line)
            try:
                image_id = self._image_id(row.fields, self._image_name(row.fields))
            except RowProblem:
                continue  # told when the pictures were read
            try:
                captions, name = self._captions(row.fields)
                row_id = self._text_id(row)
            except RowProblem as problem:
                report(BadRow(where, image_id, str(problem)))
                continue
            for place, caption in enumerate(captions):
                text_id = row_id if isinstance(row.fields[name], str) else f"{row_id}#{place + 1}"
                try:
                    yield RawText(text_id, clean_caption(caption, name), (image_id,), where)
                except RowProblem as problem:
                    report(BadRow(where, text_id, str(problem)))

    def _image_name(self, fields: Mapping[str, Any]) -> str:
        name = clean_id(
            fields[self._name_of(fields, self._columns.image, IMAGE_COLUMNS, "image")], "the picture's path"
        )
        return name.removeprefix("./")

    def _image_id(self, fields: Mapping[str, Any], image_name: str) -> str:
        column = self._columns.image_id or ("image_id" if "image_id" in fields else None)
        if column is None:
            return image_name
        return clean_id(fields[self._name_of(fields, column, (), "image id")], column)

    def _text_id(self, row: _Row) -> str:
        column = self._columns.text_id or ("text_id" if "text_id" in row.fields else None)
        if column is None:
            return str(row.line)
        return clean_id(row.fields[self._name_of(row.fields, column, (), "text id")], column)

    def _captions(self, fields: Mapping[str, Any]) -> tuple[list[Any], str]:
        """The captions as they stand, unchecked, and the field they came from."""
        name = self._name_of(fields, self._columns.caption, CAPTION_COLUMNS, "caption")
        value = fields[name]
        if isinstance(value, str):
            return [value], name
        if isinstance(value, list) and value:
            return value, name
        raise RowProblem(f"wrong type: {name} must be a caption or a list of captions that is not empty")

    def _name_of(
        self, fields: Mapping[str, Any], wanted: str | None, known: tuple[str, ...], what: str
    ) -> str:
        names = (wanted,) if wanted is not None else known
        for name in names:
            if name in fields:
                return name
        option = what.replace(" ", "-")
        found = shown(", ".join(fields), 200)
        raise RowProblem(
            f"missing field: no {what} column ({', '.join(names)}); found {found}; use --{option}-column NAME"
        )

    def _rows(self, report: Report) -> Iterator[_Row]:
        """Rows that the filter admits."""
        source = self._file.objects(report) if self._csv is None else self._csv.rows(report)
        for row in (_Row(number, fields) for number, fields in source):
            missing = [name for name in self._columns.where if name not in row.fields]
            if missing:
                report(
                    BadRow(
                        self._file.where(row.line), "", f"missing field: {missing[0]}, which --where asks for"
                    )
                )
            elif all(_plain(row.fields[name]) == value for name, value in self._columns.where.items()):
                yield row

    def _check_header(self, header: tuple[str, ...]) -> None:
        """Refuse at once what every row would be refused for."""
        fields, columns = dict.fromkeys(header), self._columns
        try:
            self._name_of(fields, columns.image, IMAGE_COLUMNS, "image")
            self._name_of(fields, columns.caption, CAPTION_COLUMNS, "caption")
            for column in filter(None, (columns.image_id, columns.text_id, *columns.where)):
                self._name_of(fields, column, (), "named")
        except RowProblem as problem:
            what, _, fix = str(problem).partition("; use ")
            where = f"{self._file.path}:1"
            raise SourceError(what, where=where, fix=f"use {fix}, or write a header line") from None


def _plain(value: object) -> str:
    """A field as the filter compares it."""
    return (
        {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)
    )


def _told_before(_: BadRow) -> None:
    """What is wrong with a row has been told when its picture was read."""
