"""The best items of each query as JSON lines: what a test server wants where the answers are kept there.

    {"text_id": 8200, "image_ids": [ten ids, best first]}
    {"image_id": 1000002, "text_ids": [ten ids, best first]}

Order is that of float32 inner products, equal ones in the gallery's order, as in cn_clip. Products are taken
exactly and then rounded to float32, so that the files do not depend on threads, blocks or the BLAS.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnclip.artifacts import atomic_file
from cnclip.evaluation.pair_ranks import blocks
from cnclip.evaluation.rows import GRID, Indices, Rows, on_grid

DEPTH = 10
Direction = Literal["t2i", "i2t"]
FIELDS: dict[Direction, tuple[str, str]] = {"t2i": ("text_id", "image_ids"), "i2t": ("image_id", "text_ids")}
_LOW_BITS = (1 << 32) - 1


def first_items(
    query_rows: Rows, gallery_rows: Rows, depth: int = DEPTH, *, block_rows: int = 2048
) -> Indices:
    """The best gallery items of each query: int64 [Q, min(depth, G)] of gallery indices, best first.

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length; fewer than 2**32.
        depth: how many.
        block_rows: side of the blocks of similarities held at once; memory only.
    """
    depth = min(depth, len(gallery_rows))
    found = np.empty((len(query_rows), depth), dtype=np.int64)
    for some in blocks(len(query_rows), block_rows):
        queries = on_grid(query_rows[some])
        best = np.empty((len(queries), 0), dtype=np.int64)
        for part in blocks(len(gallery_rows), block_rows):
            scores = (queries @ on_grid(gallery_rows[part]).T / GRID**2).astype(np.float32)
            keys = np.concatenate([best, _keys(scores, part.start)], axis=1)
            best = np.partition(keys, keys.shape[1] - min(depth, keys.shape[1]), axis=1)[:, -depth:]
        found[some] = _LOW_BITS - (np.sort(best, axis=1)[:, ::-1] & _LOW_BITS)
    return found


def write_items(
    path: Path, direction: Direction, query_ids: Sequence[str], item_ids: Sequence[str], items: Indices
) -> None:
    """Write one line for each query.

    Args:
        path: the file.
        direction: which names the fields have.
        query_ids: Q names.
        item_ids: names of the gallery.
        items: int64 [Q, depth] gallery indices, best first.

    Raises:
        ResourceError: disk full or no permission.
    """
    query_field, items_field = FIELDS[direction]
    names = [official_id(name) for name in item_ids]
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for query, places in zip(query_ids, items.tolist(), strict=True):
            line = {query_field: official_id(query), items_field: [names[place] for place in places]}
            file.write(json.dumps(line) + "\n")


def official_id(name: str) -> int | str:
    """An id as cn_clip's files have it: a number where the name is one written the usual way."""
    return int(name) if name.isascii() and name.isdigit() and str(int(name)) == name else name


def _keys(scores: Rows, start: int) -> npt.NDArray[np.int64]:
    """Scores and gallery indices as one whole number each: larger is better, of equal scores the earlier.

    The bits of a float32 sort like its value once those of negative numbers are turned round.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    ordered = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    indices = np.arange(start, start + scores.shape[1], dtype=np.int64)
    keys: npt.NDArray[np.int64] = (ordered.astype(np.int64) << 32) | (_LOW_BITS - indices)
    return keys
