"""The header of a finished store, read and checked; what is unfinished, damaged or too new is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnclip.artifacts import MANIFEST_NAME, read_json, sha256_file, verify_dir
from cnclip.errors import ArtifactError, StoreError
from cnclip.stores.layout import (
    FORMAT_NAME,
    FORMAT_VERSION,
    HEADER_NAME,
    PAIR_IMAGES_NAME,
    REBUILD,
    ArraySeal,
    Part,
    Shard,
    StoreHeader,
)

_HOW_TO_MAKE = (
    "of pictures with captions make a store first: cnclip data build {} STORE; class folders without captions"
    " need none: cnclip eval zeroshot MODEL FOLDER CLASSES"
)
INCOMPLETE_SUFFIX = ".incomplete"  # of the folder that a stopped build leaves beside its target


def open_header(path: Path) -> StoreHeader:
    """The header of a store whose files have the sizes that its manifest says; their content is not read.

    Raises:
        StoreError: no store, an unfinished or damaged one, another format.
    """
    if not (path / HEADER_NAME).exists() and _is_unfinished(path):
        raise StoreError(
            "this store is not finished: the command that makes it is running, or was stopped",
            where=str(path),
            fix="wait for it, or run the same command again: it goes on where it stopped",
        )
    if path.is_file():
        raise StoreError(
            f"{path} is a file, not a store",
            where=str(path),
            fix=f"make a store of it first: cnclip data build {path} STORE, and give STORE",
        )
    if not path.is_dir():
        raise StoreError(f"no such store: {path}", where=str(path), fix="cnclip data build SOURCE STORE")
    if not (path / HEADER_NAME).exists():
        raise StoreError(
            "the folder is no store: header.json is missing",
            where=str(path),
            fix=REBUILD if _was_store(path) else _HOW_TO_MAKE.format(path),
        )
    try:
        manifest = verify_dir(path, deep=False)
        header = _read_header(path)
        expected = manifest.files.get(HEADER_NAME)
        if expected is None or sha256_file(path / HEADER_NAME) != expected[1]:
            raise StoreError("header.json differs from its sha256", where=str(path), fix=REBUILD)
    except ArtifactError as error:
        raise StoreError(error.what, where=error.where, fix=REBUILD) from None
    return header


def _was_store(path: Path) -> bool:
    """Whether a folder without a header holds other files of a store."""
    return any((path / name).exists() for name in (MANIFEST_NAME, PAIR_IMAGES_NAME, "shard-00000"))


def _is_unfinished(path: Path) -> bool:
    """Whether a build of this store was stopped, or this is the folder that it left."""
    if path.name.endswith(INCOMPLETE_SUFFIX):
        return path.is_dir()
    return bool(path.name) and path.with_name(path.name + INCOMPLETE_SUFFIX).is_dir()


def _read_header(folder: Path) -> StoreHeader:
    """Read `header.json`.

    Raises:
        ArtifactError: missing or not JSON.
        StoreError: another format, a newer version, missing fields.
    """
    where = folder / HEADER_NAME
    value = read_json(where)
    if not isinstance(value, dict) or value.pop("format", None) != FORMAT_NAME:
        raise StoreError("not the header of a store", where=str(where), fix=REBUILD)
    version = value.pop("version", None)
    if version not in range(1, FORMAT_VERSION + 1):
        raise StoreError(
            f"store format {version}; this cnclip reads 1 to {FORMAT_VERSION}",
            where=str(where),
            fix="upgrade cnclip",
        )
    try:
        return _header_of(value, has_arrays=version > 1)
    except (KeyError, TypeError) as error:
        raise StoreError(f"the header is damaged: {error}", where=str(where), fix=REBUILD) from None


def _header_of(value: dict[str, Any], *, has_arrays: bool) -> StoreHeader:
    """The header that a JSON value describes; KeyError or TypeError where it lacks something."""
    value["shards"] = tuple(Shard(**shard) for shard in value["shards"])
    value["parts"] = tuple(Part(**part) for part in value.get("parts", ()))
    value["arrays"] = ArraySeal(**value["arrays"]) if has_arrays else None
    return StoreHeader(**value)
