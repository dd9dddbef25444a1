"""Several stores as one that names them: no picture is copied, only the arrays are written anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np

from cnclip.artifacts import atomic_dir
from cnclip.stores.arrays import Values, seal_arrays
from cnclip.stores.derived.merge import SHOWN_IDS, Progress, check_stores, collision_error
from cnclip.stores.layout import (
    CAPTION_GROUPS_NAME,
    IMAGE_ID,
    PAIR_DTYPE,
    PAIR_IMAGES_NAME,
    PAIR_TEXTS_NAME,
    TEXT_ID,
    ArraySeal,
    Part,
    StoreHeader,
    write_header,
)
from cnclip.stores.raw.rows import shown
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import refuse_to_replace

_PIECE = 1 << 16  # values copied at a time
_COUNTS = ("images", "texts", "pairs", "unlabelled_texts", "unreferenced_images", "image_bytes")
_FIX = (
    "build the stores with ids that differ, as `cnclip data build --shard-of i/n` does for the parts of one "
    "source, or copy the rows: --index false --prefix true"
)


def write_index(
    readers: Sequence[StoreReader],
    target: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> StoreHeader:
    """Write an index store at `target`: the rows of all stores, one store after the other.

    The stores stay where they are and must not change; they are named by their paths from `target`, so that a
    folder that holds all of them can be moved. Memory does not grow with the stores.

    Args:
        readers: of two or more different stores; an index store may be one of them.
        target: the folder; it appears when all is done.
        overwrite: replace a store that is there.
        progress: called with (step, rows done, rows in all).

    Raises:
        RecipeError: fewer than two stores, or one twice.
        SourceError: ids that two stores have; the first ones are listed.
        RefusedError: `target` is there and is no store, or `overwrite` is False.
        ResourceError: disk full, no permission.
    """
    check_stores(readers)
    refuse_to_replace(target, overwrite)
    _refuse_repeats(readers, progress)
    facts: dict[str, object] = {}
    with atomic_dir(target, facts=facts, replace=target.exists()) as folder:
        seal = _write_arrays(folder, readers)
        header = _header(readers, target, seal)
        write_header(folder, header)
        counts = {name: getattr(header, name) for name in _COUNTS[:-1]}
        facts.update(kind="store", fingerprint=header.fingerprint, **counts)
    return header


def _refuse_repeats(readers: Sequence[StoreReader], progress: Progress | None) -> None:
    """Raise SourceError where two stores have an id; all have their ids sorted by hash: that is a merge."""
    found: list[str] = []
    count, done = 0, 0
    total = sum(reader.image_count + reader.text_count for reader in readers)
    for what, kind in (("picture", IMAGE_ID), ("caption", TEXT_ID)):
        streams = [_numbered(reader, place, kind) for place, reader in enumerate(readers)]
        for _, rows in groupby(merge(*streams), key=itemgetter(0)):
            same = list(rows)
            done += len(same)
            if progress is not None:
                progress("ids compared", done, total)
            if len(same) > 1:
                count += 1
                if len(found) < SHOWN_IDS:
                    found.append(_line(readers, what, [(place, index) for _, place, index in same]))
    if count:
        raise collision_error(count, found, _FIX)


def _numbered(reader: StoreReader, place: int, kind: bytes) -> Iterator[tuple[bytes, int, int]]:
    return ((key, place, index) for key, index in reader.id_keys(kind))


def _line(readers: Sequence[StoreReader], what: str, rows: list[tuple[int, int]]) -> str:
    place, index = rows[0]
    reader = readers[place]
    name = reader.image_id(index) if what == "picture" else reader.text(index).text_id
    return f"  {what} {shown(name)}: {', '.join(str(readers[place].path) for place, _ in rows)}"


def _write_arrays(folder: Path, readers: Sequence[StoreReader]) -> ArraySeal:
    """The arrays of all stores with the numbers that rows have in the index."""
    images = np.cumsum([0, *(reader.image_count for reader in readers)])
    texts = np.cumsum([0, *(reader.text_count for reader in readers)])
    pieces = {
        PAIR_IMAGES_NAME: (
            piece + images[place]
            for place, reader in enumerate(readers)
            for piece in _pairs(reader, "pair_images")
        ),
        PAIR_TEXTS_NAME: (
            piece + texts[place]
            for place, reader in enumerate(readers)
            for piece in _pairs(reader, "pair_texts")
        ),
        CAPTION_GROUPS_NAME: chain.from_iterable(_groups(reader) for reader in readers),
    }
    for name, values in pieces.items():
        with open(folder / name, "wb") as file:
            for piece in values:
                file.write(piece.astype(PAIR_DTYPE, copy=False).tobytes())
    pairs = sum(reader.pair_count for reader in readers)
    return seal_arrays(folder, images=int(images[-1]), texts=int(texts[-1]), pairs=pairs)


def _pairs(reader: StoreReader, name: Literal["pair_images", "pair_texts"]) -> Iterator[Values]:
    """By a reader of its own, whose files are closed behind it: there may be thousands of parts."""
    with StoreReader(reader.path) as own:
        values: Values = getattr(own, name)
        yield from (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))


def _groups(reader: StoreReader) -> Iterator[Values]:
    count = reader.text_count
    with StoreReader(reader.path) as own:
        for start in range(0, count, _PIECE):
            yield own.caption_groups(start, min(start + _PIECE, count))


def _header(readers: Sequence[StoreReader], target: Path, seal: ArraySeal) -> StoreHeader:
    here = target.resolve()
    parts = tuple(
        Part(
            path=Path(os.path.relpath(reader.path.resolve(), here)).as_posix(),
            fingerprint=reader.fingerprint,
            images=reader.image_count,
            texts=reader.text_count,
            pairs=reader.pair_count,
        )
        for reader in readers
    )
    digest = bytes(32)
    for part in parts:
        digest = sha256(digest + f"part {part.fingerprint}\n".encode()).digest()
    sums = {name: sum(getattr(reader.header, name) for reader in readers) for name in _COUNTS}
    return StoreHeader(
        **sums,
        fingerprint=digest.hex(),
        shards=(),
        facts={"source": {"kind": "index"}},
        arrays=seal,
        parts=parts,
    )
