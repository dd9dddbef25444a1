"""Pictures of a store that are the same picture under two ids.

A model's embeddings say which pairs to look at: those of the highest cosine similarity, as many as there is
time for. What they are is decided by the data doctor's hashes of bytes and pixels, not by the model, and only
the pictures of these pairs are read and decoded. `cnclip data check` looks at all pictures without a model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Literal

import numpy as np

from cnclip.evaluation.pair_ranks import blocks
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.similarity import pair_scores
from cnclip.images.decode import open_image, to_rgb
from cnclip.stores.doctor.groups import groups_by_key
from cnclip.stores.doctor.near_hash import near_pairs
from cnclip.stores.doctor.pictures import BLANK, DECODED, sketch_pictures
from cnclip.stores.doctor.pictures import Rows as Sketches
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words
from cnclip.text.wordpiece import UNK_ID, piece_ids

Kind = Literal["same bytes", "same pixels", "near picture"]
NEAR_BITS = 6  # as in `cnclip data check`
MOST_ALIKE = 50  # pictures of one group of which all pairs are told; of a larger one those with the first
_PAIRS_A_PICTURE, _FEWEST_PAIRS, _MOST_PAIRS = 4, 1000, 200_000
_SLACK = 1e-5  # float32 products of unit rows are nearer to the truth than this


@dataclass(frozen=True)
class Twin:
    """Two pictures that are the same.

    Attributes:
        first, second: their numbers, first < second.
        kind: what of them is the same.
        cosine: similarity of their embeddings, -1 to 1.
    """

    first: int
    second: int
    kind: Kind
    cosine: float


@dataclass(frozen=True)
class Twins:
    """What was found.

    Attributes:
        pairs: in the order of the pictures' numbers.
        compared: pictures whose embeddings were compared with each other.
        decoded: pictures that were read and decoded.
        least_cosine: the lowest similarity of a pair that was looked at; NaN where there was none.
        crowded: groups of more than MOST_ALIKE equal pictures.
    """

    pairs: tuple[Twin, ...]
    compared: int
    decoded: int
    least_cosine: float
    crowded: int


def find_twins(
    store: StoreReader, rows: Rows, chosen: Indices | None = None, *, most_decoded: int = 4000
) -> Twins:
    """Look for the same picture under two ids.

    Args:
        store: the pictures.
        rows: float32 [store.image_count, D], unit length.
        chosen: int64, ascending: the pictures to look at; None takes all.
        most_decoded: pictures that are read and decoded; more time finds pairs of lower similarity.
    """
    places = np.arange(len(rows)) if chosen is None else chosen
    pairs, cosine = nearest_pairs(rows[places], max(_FEWEST_PAIRS, _PAIRS_A_PICTURE * len(places)))
    taken = _within_budget(pairs, most_decoded)
    if not taken:
        return Twins((), len(places), 0, float("nan"), 0)
    pictures = places[np.unique(pairs[:taken])]
    sketches = _sketches(store, pictures)
    least = float(cosine[taken - 1])
    same, crowded = _same(sketches)
    kinds = {(int(pictures[one]), int(pictures[two])): kind for (one, two), kind in same.items()}
    found = sorted(kinds)
    ends = np.array(found, dtype=np.int64).reshape(-1, 2)
    similarity = pair_scores(rows, rows, ends[:, 0], ends[:, 1])
    twins = [
        Twin(*pair, kinds[pair], float(score))
        for pair, score in zip(found, similarity, strict=True)
        if kinds[pair] != "near picture" or score >= least
    ]
    return Twins(tuple(twins), len(places), len(pictures), least, crowded)


def nearest_pairs(rows: Rows, most: int, *, block_rows: int = 1024) -> tuple[Indices, Rows]:
    """The pairs of rows of the highest cosine similarity.

    In blocks; what is held does not grow with the square of the rows.

    Args:
        rows: float32 [N, D], unit length.
        most: how many; at most 200 000 and N (N - 1) / 2 come back.
        block_rows: side of the blocks; memory and speed only.

    Returns:
        int64 [P, 2] of (row, later row) and float32 [P] similarities, the most similar first.
    """
    most = min(most, _MOST_PAIRS)
    threshold = -np.inf
    keys, values = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for down in blocks(len(rows), block_rows):
        block = np.ascontiguousarray(rows[down])
        for across in blocks(len(rows), block_rows):
            if across.start < down.start:
                continue
            similarity = block @ rows[across].T  # float32 [down, across]
            if across.start == down.start:
                similarity[np.tril_indices(len(block))] = -np.inf
            found = np.flatnonzero(similarity > threshold)
            row, column = np.divmod(found, similarity.shape[1])
            keys.append((row + down.start) * len(rows) + column + across.start)
            values.append(similarity.ravel()[found])
            if sum(map(len, keys)) > 4 * most:
                keys, values, threshold = _highest(keys, values, most)
    keys, values, _ = _highest(keys, values, most)
    first, second = np.divmod(keys[0][np.isfinite(values[0])], len(rows))
    exact = pair_scores(rows, rows, first, second)
    order = np.lexsort((second, first, -exact))[:most]
    return np.stack([first, second], axis=1)[order], exact[order]


def _highest(keys: list[Indices], values: list[Rows], most: int) -> tuple[list[Indices], list[Rows], float]:
    """The highest values, a few more than `most` where they are close, and what others must exceed."""
    key, value = np.concatenate(keys), np.concatenate(values)
    if len(value) <= most:
        return [key], [value], -np.inf
    threshold = float(np.partition(value, len(value) - most)[len(value) - most]) - _SLACK
    kept = np.flatnonzero(value > threshold)
    if len(kept) > 2 * most:  # a model that gives many pictures the same row: any of the equal ones will do
        kept = np.argsort(-value, kind="stable")[:most]
        threshold = float(value[kept[-1]])
    return [key[kept]], [value[kept]], threshold


def _within_budget(pairs: Indices, most_decoded: int) -> int:
    """How many of the pairs, from the first, can be looked at with so many pictures."""
    seen: set[int] = set()
    for number, pair in enumerate(pairs.tolist()):
        seen.update(pair)
        if len(seen) > most_decoded:
            return number
    return len(pairs)


def _sketches(store: StoreReader, pictures: Indices) -> Sketches:
    """The doctor's hashes of some pictures; decoding leaves Python's lock to the other threads."""
    tools = Tools(open_image, to_rgb, normalize_caption, piece_ids, segment_words, UNK_ID)

    def sketch(index: int) -> Any:
        return sketch_pictures(store, index, index + 1, tools)[0]

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return np.concatenate(list(pool.map(sketch, pictures.tolist())))


def _same(sketches: Sketches) -> tuple[dict[tuple[int, int], Kind], int]:
    """Pairs of places, the lower first, with what is the same; how many groups had too many pictures."""
    kinds: dict[tuple[int, int], Kind] = {}
    decoded = sketches["traits"] & DECODED != 0
    pixels = groups_by_key(sketches["pixel_key"], decoded)
    for members in pixels.largest(len(pixels.sizes)):
        for pair in _pairs_of(members):
            one, two = sketches[list(pair)]["file_key"]
            kinds[pair] = "same bytes" if one == two else "same pixels"
    crowded = np.flatnonzero(pixels.sizes > MOST_ALIKE)
    copies = np.isin(pixels.labels, crowded)
    copies[[int(np.argmax(pixels.labels == group)) for group in crowded]] = False  # the first stands for all
    kept = np.flatnonzero(decoded & (sketches["traits"] & BLANK == 0) & ~copies)
    colours = np.ascontiguousarray(sketches["colours"][kept])
    for first, second, _ in near_pairs(sketches["near_key"][kept], colours, NEAR_BITS):
        for pair in zip(kept[np.minimum(first, second)], kept[np.maximum(first, second)], strict=True):
            kinds.setdefault((int(pair[0]), int(pair[1])), "near picture")
    return kinds, len(crowded)


def _pairs_of(members: Indices) -> Iterator[tuple[int, int]]:
    """All pairs of a group's ascending places; those with the first where the group is large."""
    places = members.tolist()
    return combinations(places, 2) if len(places) <= MOST_ALIKE else product(places[:1], places[1:])
