"""Parquet files and folders of Hugging Face datasets: pictures in a column, captions in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.arrow_files import ArrowRow, arrow_files
from cnclip.stores.raw.captions import CAPTION_FIELDS, captions_of
from cnclip.stores.raw.columns import IMAGE_COLUMNS, TableColumns, fits, name_of
from cnclip.stores.raw.files import find_picture, read_picture
from cnclip.stores.raw.parts import Part
from cnclip.stores.raw.remote import RemoteFile
from cnclip.stores.raw.rows import (
    MAX_IMAGE_BYTES,
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_id,
)

PICTURE_COLUMNS = (*IMAGE_COLUMNS, "images", "jpg", "png", "webp", "img", "image_bytes", "bytes", "picture")
_OWN_IDS = ("text_id", "text_ids")


class ParquetSource:
    """Rows of (picture, caption or list of captions).

    The picture is a struct of `bytes` and `path` as Hugging Face has it, bytes, or the path of a file under
    `image_root`. Its id is `image_id`, else the path, else `file/row`; the caption's is `text_id`, else
    `file/row`.

    Args:
        path: a .parquet or .arrow file, a folder of them, a name with braces, or a URL.
        split: of a folder: `train-00000-of-00002.parquet`, `train/…`.
        columns: names, and a filter.
        part: take every n-th file, where there are enough of them; `facts` then has `part`.

    Attributes:
        counts: files and rows, by the files' own footers.
        remote: the files that lie behind URLs.

    Raises:
        SourceError: no such files, no such columns.
        ResourceError: pyarrow is not installed.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        split: str | None = None,
        columns: TableColumns | None = None,
        part: Part | None = None,
    ) -> None:
        self._columns = columns or TableColumns()
        self.root, every = arrow_files(path, split)
        self._first = every[0]  # its columns are asked of all files, so that no part reads them otherwise
        self._files = every
        where = dict(self._columns.where)
        self.facts: dict[str, Any] = {"kind": "parquet", "files": len(every), "split": split, "where": where}
        own = part.of_files(every) if part is not None else None
        if own is not None:
            self._files = own
            self.facts |= {"part": str(part), "part_by": "files"}
        places = [file.path for file in self._files]
        self.inputs: tuple[Path, ...] = tuple(file for file in places if isinstance(file, Path))
        self.remote = tuple(file for file in places if isinstance(file, RemoteFile))
        self.share_read: float | None = 0.0
        self.texts_follow_images = True  # what was told of the pictures is not told again
        self._told: set[str] = set()
        self._has = dict.fromkeys(self._first.columns())
        self._image = self._named(self._columns.image, PICTURE_COLUMNS, "image")
        self._caption = self._named(self._columns.caption, CAPTION_FIELDS, "caption")
        image_id = self._columns.image_id or ("image_id" if "image_id" in self._has else None)
        self._image_id_column = image_id and self._named(image_id, (), "image id")
        if self._columns.text_id is not None:
            self._named(self._columns.text_id, (), "text id")
        image_root = self._columns.image_root or self.root
        self._image_root = image_root.resolve() if isinstance(image_root, Path) else None

    @property
    def counts(self) -> Mapping[str, int]:
        return {"files": len(self._files), "rows": sum(file.row_count() for file in self._files)}

    def images(self, report: Report) -> Iterator[RawImage]:
        """The picture of each row; rows that repeat a file's path have the same origin."""
        self._told.clear()

        def tell(bad: BadRow) -> None:
            self._told.add(bad.where)
            report(bad)

        for row in self._rows([self._image], tell, captions_only=False):
            image_id = ""
            try:
                image_id = self._image_id(row)
                load, origin = self._picture(row.fields[self._image])
            except RowProblem as problem:
                report(BadRow(row.where, image_id, str(problem)))
                continue
            yield RawImage(image_id, row.where, load, origin)

    def texts(self, report: Report) -> Iterator[RawText]:
        """The captions of each row."""
        own = [name for name in (self._columns.text_id, *_OWN_IDS) if name in self._has]
        # the picture's path may be its id; its bytes are not read
        path = [] if self._image_id_column else [self._image]

        def tell(bad: BadRow) -> None:
            if bad.where not in self._told:  # the pass over the pictures reads other columns of the same rows
                report(bad)

        for row in self._rows([*path, self._caption, *filter(None, own)], tell, captions_only=True):
            try:
                image_id = self._image_id(row)
            except RowProblem:
                continue  # told when the pictures were read
            fields = row.fields
            if self._columns.text_id is not None:
                fields = {self._caption: fields[self._caption], "text_id": fields[self._columns.text_id]}
            yield from captions_of(
                fields,
                row_id=row.id,
                image_ids=(image_id,),
                where=row.where,
                report=report,
                wanted=self._caption,
            )

    def _rows(self, names: list[str], report: Report, *, captions_only: bool) -> Iterator[ArrowRow]:
        """Rows that the filter admits, with these columns and the picture's id."""
        ids = [self._image_id_column] if self._image_id_column else []
        wanted = list(dict.fromkeys((*names, *ids, *self._columns.where)))
        light, batch_rows = ((self._image,), 1024) if captions_only else ((), 16)
        for number, file in enumerate(self._files):
            self.share_read = number / len(self._files)
            for row in file.rows(wanted, paths_only=light, batch_rows=batch_rows, report=report):
                try:
                    if fits(row.fields, self._columns.where):
                        yield row
                except RowProblem as problem:
                    report(BadRow(row.where, "", str(problem)))

    def _image_id(self, row: ArrowRow) -> str:
        if self._image_id_column:
            return clean_id(row.fields[self._image_id_column], self._image_id_column)
        value = row.fields.get(self._image)
        path = value.get("path") if isinstance(value, Mapping) else value
        return (
            clean_id(path, "the picture's path")
            if isinstance(path, str) and path
            else clean_id(row.id, "the row")
        )

    def _picture(self, value: Any) -> tuple[Callable[[], bytes], str]:
        """What reads a cell's picture, and its origin."""
        path = value
        if isinstance(value, Mapping):
            path, value = value.get("path"), value.get("bytes")
        if isinstance(value, bytes):
            if not value or len(value) > MAX_IMAGE_BYTES:
                raise RowProblem(f"empty picture or too large: {len(value)} bytes, at most {MAX_IMAGE_BYTES}")
            return partial(bytes, value), ""
        if isinstance(path, str):
            if self._image_root is None:
                raise RowProblem("no picture: a remote table's cell has only a path; use --image-root")
            file = find_picture(path, self._image_root)
            return partial(read_picture, file), str(file)
        raise RowProblem(f"no picture: the cell is {'null' if path is None else type(path).__name__}")

    def _named(self, wanted: str | None, known: tuple[str, ...], what: str) -> str:
        try:
            return name_of(self._has, wanted, known, what)
        except RowProblem as problem:
            reason, _, fix = str(problem).partition("; use ")
            raise SourceError(reason, where=str(self._first.path), fix=f"use {fix}") from None
