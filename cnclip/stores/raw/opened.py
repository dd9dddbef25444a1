"""From a path to its source."""

from __future__ import annotations

from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.classes import ClassFolderSource
from cnclip.stores.raw.cn_clip import CnClipSource
from cnclip.stores.raw.cn_clip_lmdb import CnClipLmdbSource
from cnclip.stores.raw.coco import CocoSource
from cnclip.stores.raw.detect import detect
from cnclip.stores.raw.flickr import FlickrSource
from cnclip.stores.raw.folder import FolderSource
from cnclip.stores.raw.options import SourceKind, SourceOptions
from cnclip.stores.raw.parquet import ParquetSource
from cnclip.stores.raw.parts import PartSource
from cnclip.stores.raw.remote import local_path
from cnclip.stores.raw.rows import Source
from cnclip.stores.raw.table import TableSource
from cnclip.stores.raw.webdataset import WebDatasetSource


def read_source(
    path: Path | str, kind: SourceKind = "auto", *, options: SourceOptions | None = None
) -> Source:
    """The source that `path` is, or a part of it; see `detect` for how `auto` knows.

    Args:
        path: a file, a folder, a name with braces or stars, or for tar and Parquet a URL (as a string: a Path
            makes one slash of two).
        kind: what to take it for.
        options: how to read it.

    Raises:
        SourceError: no such path, a form that is not known, or options that do not belong to the form.
        ResourceError: an optional package is missing; names the command that installs it.
    """
    options = options or SourceOptions()
    found = detect(path).kind if kind == "auto" else kind
    options.check(found, path)
    source = _open(path, found, options)
    if kind == "auto" and isinstance(source, FolderSource):
        source.wants_captions = True
    if options.part is None or "part" in source.facts:
        return source
    return PartSource(source, options.part)


def _open(place: Path | str, found: SourceKind, options: SourceOptions) -> Source:
    if found == "webdataset":
        return WebDatasetSource(place, encoding=options.encoding, part=options.part)
    if found == "parquet":
        return ParquetSource(place, split=options.split, columns=options.columns, part=options.part)
    path = local_path(place)
    if not path.exists():
        raise SourceError(f"no such file or folder: {path}", where=str(path), fix="check the path")
    image_root = options.columns.image_root
    match found:
        case "cn_clip":
            return CnClipSource(path, split=options.split, encoding=options.text_encoding)
        case "lmdb":
            return CnClipLmdbSource(path, split=options.split)
        case "classes":
            return ClassFolderSource(
                path, labels=options.labels, templates=options.templates, encoding=options.encoding
            )
        case "coco":
            return CocoSource(path, image_root=image_root)
        case "flickr":
            return FlickrSource(path, image_root=image_root, split=options.split, encoding=options.encoding)
        case "table":
            return TableSource(
                path, columns=options.columns, delimiter=options.delimiter, encoding=options.encoding
            )
        case _:
            return FolderSource(path, encoding=options.encoding)
