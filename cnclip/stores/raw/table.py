"""CSV, TSV, JSONL and JSON tables whose rows name a picture file and its caption or captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.captions import CAPTION_FIELDS
from cnclip.stores.raw.columns import IMAGE_COLUMNS, TableColumns, fits, name_of
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
)
from cnclip.stores.raw.table_rows import Delimiter, open_rows, table_of
from cnclip.stores.raw.walk import told_before

__all__ = ["Delimiter", "TableColumns", "TableSource"]


@dataclass(frozen=True)
class _Row:
    line: int
    fields: Mapping[str, Any]


class TableSource:
    """A table of (picture file, caption) rows.

    CSV is read with quotes, TSV without them (a caption may begin with one); both need a header line. What
    Excel saves is understood: semicolons, a first line `sep=;`, UTF-16 with tabs ("Unicode text").

    Args:
        path: a .csv, .tsv or .jsonl file, a .json file that is a list of objects, or one of them as .gz; or a
            folder that holds one.
        columns: names and filters.
        delimiter: of the columns; `auto` is a tab for .tsv, else what the header has.
        encoding: of the file; auto looks at its first bytes.

    Attributes:
        encoding_why: what gave the encoding away.

    Raises:
        SourceError: no such file or folder, no header, a column that the header lacks.
    """

    def __init__(
        self,
        path: Path,
        *,
        columns: TableColumns | None = None,
        delimiter: Delimiter = "auto",
        encoding: Encoding = "auto",
    ) -> None:
        path = table_of(path) if path.is_dir() else path
        self.root = path.parent
        self.inputs: tuple[Path, ...] = (path,)
        self._file = LineFile(path, root=self.root, encoding=encoding)
        self._columns = columns or TableColumns()
        self.encoding_why = self._file.encoding_why
        self.facts: dict[str, Any] = {
            "kind": "table",
            "file": path.name,
            "where": dict(self._columns.where),
        }
        if self._file.encoding != "utf-8":
            self.facts["encoding"] = self._file.encoding
        image_root = self._columns.image_root or self.root
        if not image_root.is_dir():
            raise SourceError(
                f"no such folder: {image_root}", where=str(path), fix="give another --image-root"
            )
        self._image_root = image_root.resolve()
        self._read = open_rows(self._file, delimiter)
        self._check_columns()

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
        for row in self._rows(told_before):
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
            fields[name_of(fields, self._columns.image, IMAGE_COLUMNS, "image")], "the picture's path"
        )
        return name.removeprefix("./")

    def _image_id(self, fields: Mapping[str, Any], image_name: str) -> str:
        column = self._columns.image_id or ("image_id" if "image_id" in fields else None)
        if column is None:
            return image_name
        return clean_id(fields[name_of(fields, column, (), "image id")], column)

    def _text_id(self, row: _Row) -> str:
        column = self._columns.text_id or ("text_id" if "text_id" in row.fields else None)
        if column is None:
            return str(row.line)
        return clean_id(row.fields[name_of(row.fields, column, (), "text id")], column)

    def _captions(self, fields: Mapping[str, Any]) -> tuple[list[Any], str]:
        """The captions as they stand, unchecked, and the field they came from."""
        name = name_of(fields, self._columns.caption, CAPTION_FIELDS, "caption")
        value = fields[name]
        if isinstance(value, str):
            return [value], name
        if isinstance(value, list) and value:
            return value, name
        raise RowProblem(f"wrong type: {name} must be a caption or a list of captions that is not empty")

    def _rows(self, report: Report) -> Iterator[_Row]:
        """Rows that the filter admits."""
        for row in (_Row(number, fields) for number, fields in self._read.rows(report)):
            try:
                if fits(row.fields, self._columns.where):
                    yield row
            except RowProblem as problem:
                report(BadRow(self._file.where(row.line), "", str(problem)))

    def _check_columns(self) -> None:
        """Refuse at once what every row would be refused for; JSON names the fields in each row anew."""
        if self._read.header is None:
            return
        fields, columns = dict.fromkeys(self._read.header), self._columns
        try:
            name_of(fields, columns.image, IMAGE_COLUMNS, "image")
            name_of(fields, columns.caption, CAPTION_FIELDS, "caption")
            for column in filter(None, (columns.image_id, columns.text_id, *columns.where)):
                if column not in fields:
                    raise RowProblem(
                        f"missing field: no column {column}; found {', '.join(fields)}; use one of these"
                    )
        except RowProblem as problem:
            what, _, fix = str(problem).partition("; use ")
            where = f"{self._file.path}:1"
            raise SourceError(what, where=where, fix=f"use {fix}, or write a header line") from None
