"""How many items score at least as high as each correct pair: exact, at the price of one float32 product.

A float32 product of unit rows is within a known bound of the exact score (Higham, Accuracy and Stability of
Numerical Algorithms, 3.1). Items farther than that from the pair's score are counted by float32; the few in
between are compared on the grid of `rows`, where products are exact. Where many are in between, as with a
model that gives everything the same score, the whole block is taken on the grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, on_grid

_CROWDED_SHARE = 0.03  # of a block's comparisons; above it, to look at all of them at once is cheaper
_WORD = 8  # truth values that are added at once
_CHUNK = 256  # exact products taken at once


@dataclass(frozen=True)
class PairRanks:
    """Counts for each correct pair, in the order of the pairs.

    Attributes:
        scores: float64 [P] exact similarity in grid units.
        images_above: int64 [P] images, correct ones too, that score at least as high for the pair's text.
        texts_above: int64 [P] texts, correct ones too, that score at least as high for the pair's image.
    """

    scores: Scores
    images_above: Indices
    texts_above: Indices


def count_above(image_rows: Rows, text_rows: Rows, pairs: Indices, *, block_rows: int) -> PairRanks:
    """Compare every pair's score with those of all images and all texts, in one pass over the blocks.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        pairs: int64 [P, 2] of (image index, text index).
        block_rows: side of the blocks held at once; memory only, never the result.
    """
    side = max(1, block_rows)
    scores = exact_scores(image_rows, text_rows, pairs)
    for_text = _Side(text_rows, image_rows, pairs[:, 1], scores)
    for_image = _Side(image_rows, text_rows, pairs[:, 0], scores)
    for texts in blocks(len(text_rows), side):
        text_block = np.ascontiguousarray(text_rows[texts])
        for images in blocks(len(image_rows), side):
            similarity = text_block @ image_rows[images].T  # float32 [text block, image block]
            for_text.compare(similarity, texts, images, queries_are_columns=False)
            for_image.compare(similarity, images, texts, queries_are_columns=True)
    return PairRanks(scores, for_text.above, for_image.above)


def exact_scores(first_rows: Rows, second_rows: Rows, pairs: Indices) -> Scores:
    """Similarity of each (first index, second index) in grid units: float64 [P]."""
    scores = np.empty(len(pairs))
    for block in blocks(len(pairs), _CHUNK):
        first, second = pairs[block, 0], pairs[block, 1]
        scores[block] = np.einsum("nd,nd->n", on_grid(first_rows[first]), on_grid(second_rows[second]))
    return scores


def blocks(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `count`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class _Side:
    """One direction: queries, their gallery, and for each pair the count so far.

    Args:
        query_rows: float32 [Q, D].
        gallery_rows: float32 [G, D].
        owners: int64 [P]: the query of each pair.
        scores: float64 [P]: the pairs' exact scores in grid units.
    """

    def __init__(self, query_rows: Rows, gallery_rows: Rows, owners: Indices, scores: Scores) -> None:
        self._queries, self._gallery = query_rows, gallery_rows
        self._order = np.argsort(owners, kind="stable")
        self._owners, self._scores = owners[self._order], scores[self._order]
        self._counts = np.bincount(owners, minlength=len(query_rows))
        self._starts = np.cumsum(self._counts) - self._counts
        margin = _error_bound(query_rows.shape[1])
        self._low = (self._scores / GRID**2 - margin).astype(np.float32)
        self._high = (self._scores / GRID**2 + margin).astype(np.float32)
        self._lowest = np.full(len(query_rows), np.inf, dtype=np.float32)  # of each query's pairs
        np.minimum.at(self._lowest, self._owners, self._low)
        self._above: Indices = np.zeros(len(owners), dtype=np.int64)

    @property
    def above(self) -> Indices:
        """int64 [P] the counts, in the order of the pairs."""
        counts = np.empty_like(self._above)
        counts[self._order] = self._above
        return counts

    def compare(self, similarity: Rows, queries: slice, gallery: slice, *, queries_are_columns: bool) -> None:
        """Count one block: float32 [queries, gallery], or the other way round."""
        lowest = self._lowest[queries]
        possible = similarity >= (lowest if queries_are_columns else lowest[:, None])
        found = np.flatnonzero(possible)
        if len(found) > _CROWDED_SHARE * similarity.size:
            self._compare_all(similarity, queries, gallery, queries_are_columns)
            return
        row, column = np.divmod(found, similarity.shape[1])
        values = similarity.ravel()[found]
        query, item = (column, row) if queries_are_columns else (row, column)
        query, item = query + queries.start, item + gallery.start
        first = int(self._starts[queries.start])  # the pairs of these queries stand together
        own = self._above[first : first + int(self._counts[queries].sum())]
        for place in range(int(self._counts[queries].max(initial=0))):
            if place:
                more = self._counts[query] > place
                query, item, values = query[more], item[more], values[more]
            pair = self._starts[query] + place
            certain = values >= self._high[pair]
            own += np.bincount(pair[certain] - first, minlength=len(own))
            unsure = (values >= self._low[pair]) & ~certain
            self._decide(pair[unsure], item[unsure])

    def _compare_all(
        self, similarity: Rows, queries: slice, gallery: slice, queries_are_columns: bool
    ) -> None:
        """The same where much of a block is above some pair: all items, one pair of each query at a time."""
        axis = 0 if queries_are_columns else 1
        for place in range(int(self._counts[queries].max(initial=0))):
            having = np.flatnonzero(self._counts[queries] > place)
            pairs = self._starts[queries][having] + place
            part = similarity
            if len(having) < similarity.shape[1 - axis]:
                part = similarity[:, having] if queries_are_columns else similarity[having]
            low, high = (
                level[pairs] if queries_are_columns else level[pairs, None]
                for level in (self._low, self._high)
            )
            possible, certain = part >= low, part >= high
            counts = _counts(certain, axis)
            between = _counts(possible, axis) - counts
            if between.sum() > _CROWDED_SHARE * part.size:
                exact = on_grid(self._queries[having + queries.start]) @ on_grid(self._gallery[gallery]).T
                self._above[pairs] += _counts(exact >= self._scores[pairs, None], 1)
                continue
            self._above[pairs] += counts
            row, column = np.divmod(np.flatnonzero(possible ^ certain), part.shape[1])
            pair, item = (column, row) if queries_are_columns else (row, column)
            self._decide(pairs[pair], item + gallery.start)

    def _decide(self, pairs: Indices, items: Indices) -> None:
        """Count items whose float32 score is too near to a pair's to tell."""
        if len(pairs):
            near = np.stack([self._owners[pairs], items], axis=1)
            reached = exact_scores(self._queries, self._gallery, near) >= self._scores[pairs]
            np.add.at(self._above, pairs[reached], 1)


def _error_bound(width: int) -> float:
    """Farthest that a float32 product of unit rows, in any order of summation, is from the grid's."""
    roundings = (width + 16) * 2.0**-24 * 1.05
    return roundings + 2 * math.sqrt(width) / GRID


def _counts(mask: npt.NDArray[np.bool_], axis: int) -> Indices:
    """True values along an axis, added as bytes, which do not overflow within 255 of them: int64."""
    total = np.zeros(mask.shape[1 - axis], dtype=np.int64)
    if axis == 0:
        for part in blocks(len(mask), 255):
            total += np.add.reduce(mask[part].view(np.uint8), axis=0, dtype=np.uint8)
        return total
    words = mask.shape[1] // _WORD
    whole = np.ascontiguousarray(mask[:, : words * _WORD]).view(np.uint64)  # eight columns at a time
    for part in blocks(words, 255):
        eighths = np.add.reduce(whole[:, part], axis=1, dtype=np.uint64)
        total += eighths[:, None].view(np.uint8).sum(axis=1, dtype=np.int64)
    total += np.count_nonzero(mask[:, words * _WORD :], axis=1)
    return total
