"""What a user may say about a source, and which kinds of source it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cnclip.errors import SourceError
from cnclip.stores.raw.columns import TableColumns
from cnclip.stores.raw.encodings import Encoding
from cnclip.stores.raw.parts import Part
from cnclip.stores.raw.table_rows import Delimiter

SourceKind = Literal[
    "auto", "cn_clip", "lmdb", "folder", "classes", "table", "coco", "flickr", "webdataset", "parquet"
]
SOURCE_KINDS = ("cn_clip", "lmdb", "folder", "classes", "table", "coco", "flickr", "webdataset", "parquet")
_WITH_SPLITS = ("cn_clip", "lmdb", "flickr", "parquet")
_WITH_COLUMNS = ("table", "parquet")
_WITH_IMAGE_ROOT = (*_WITH_COLUMNS, "coco", "flickr")


@dataclass(frozen=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        encoding: of the text files. auto looks at tables, label files and Flickr's captions, and takes UTF-8
            for the others.
        split: which one of a folder or file that holds several.
        columns: names and filters of a table or Parquet file, and the folder of the pictures.
        delimiter: of a table.
        labels: Chinese names of class folders.
        templates: sentences for class folders.
        part: take one of several parts of the source; None = all of it.
    """

    encoding: Encoding = "auto"
    split: str | None = None
    columns: TableColumns = field(default_factory=TableColumns)
    delimiter: Delimiter = "auto"
    labels: Path | None = None
    templates: Path | None = None
    part: Part | None = None

    @property
    def text_encoding(self) -> Encoding:
        """Of formats that are UTF-8 by their definition, unless the user says otherwise."""
        return "utf-8" if self.encoding == "auto" else self.encoding

    def check(self, kind: SourceKind, path: Path | str) -> None:
        """Refuse options that mean nothing for a kind of source.

        Raises:
            SourceError: naming the option.
        """
        if self.split is not None and kind not in _WITH_SPLITS:
            fix = f"--where split={self.split}" if kind == "table" else "name the subfolder"
            raise SourceError(f"--split does not belong to a {kind} source", where=str(path), fix=fix)
        only_root = replace(TableColumns(), image_root=self.columns.image_root)
        allowed = kind in _WITH_COLUMNS or (kind in _WITH_IMAGE_ROOT and self.columns == only_root)
        if self.columns != TableColumns() and not allowed:
            raise SourceError(
                f"columns, --image-root and --where do not belong to a {kind} source",
                where=str(path),
                fix="leave them out",
            )
        if kind != "classes" and (self.labels is not None or self.templates is not None):
            raise SourceError(
                f"--labels and --templates do not belong to a {kind} source",
                where=str(path),
                fix="--kind classes",
            )
