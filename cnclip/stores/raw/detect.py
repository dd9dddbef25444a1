"""From a path to its source: which of the known forms it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cnclip.errors import SourceError
from cnclip.stores.raw.cn_clip import IMAGES_SUFFIX, TEXTS_SUFFIX, CnClipSource, splits_of
from cnclip.stores.raw.folder import FolderSource
from cnclip.stores.raw.lines import Encoding
from cnclip.stores.raw.rows import Source
from cnclip.stores.raw.table import TABLE_SUFFIXES, Delimiter, TableColumns, TableSource

SourceKind = Literal["auto", "cn_clip", "folder", "table"]
SOURCE_KINDS = ("cn_clip", "folder", "table")


@dataclass(frozen=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        encoding: of the text files.
        split: which `{split}_texts.jsonl` of a folder in cn_clip's format.
        columns: names and filters of a table.
        delimiter: of a table.
    """

    encoding: Encoding = "utf-8"
    split: str | None = None
    columns: TableColumns = field(default_factory=TableColumns)
    delimiter: Delimiter = "auto"


def read_source(
    path: Path | str, kind: SourceKind = "auto", *, options: SourceOptions | None = None
) -> Source:
    """The source that `path` is: a folder or file of cn_clip, a folder of pictures, or a table.

    Raises:
        SourceError: no such path, a form that is not known, or options that do not belong to the form.
    """
    path, options = Path(path), options or SourceOptions()
    if not path.exists():
        raise SourceError(f"no such file or folder: {path}", where=str(path), fix="check the path")
    found = _detect(path) if kind == "auto" else kind
    if found != "cn_clip" and options.split is not None:
        fix = f"--where split={options.split}" if found == "table" else "name the subfolder"
        raise SourceError(f"--split does not belong to a {found} source", where=str(path), fix=fix)
    if found != "table" and options.columns != TableColumns():
        raise SourceError(
            f"columns, --image-root and --where do not belong to a {found} source",
            where=str(path),
            fix="leave them out",
        )
    if found == "cn_clip":
        return CnClipSource(path, split=options.split, encoding=options.encoding)
    if found == "folder":
        return FolderSource(path, encoding=options.encoding)
    return TableSource(path, columns=options.columns, delimiter=options.delimiter, encoding=options.encoding)


def _detect(path: Path) -> SourceKind:
    if path.is_dir():
        return "cn_clip" if splits_of(path) else "folder"
    if path.name.endswith((TEXTS_SUFFIX, IMAGES_SUFFIX)):
        return "cn_clip"
    if path.suffix.lower() in TABLE_SUFFIXES:
        return "table"
    raise SourceError(
        f"not a known source: {path.name}",
        where=str(path),
        fix=f"give a folder, a {TEXTS_SUFFIX} file or a table ({', '.join(TABLE_SUFFIXES)}); unpack archives",
    )
