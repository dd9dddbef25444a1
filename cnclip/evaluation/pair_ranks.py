"""How many items score at least as high as each correct pair: exact, at the price of one float32 product.

A float32 product of unit rows is within a known bound of the exact score (`block_scan.scan_bound`). Items
farther than that from the pair's score are counted by float32; the few in between are compared on the grid of
`rows`, where products are exact. Where many are in between, as with a model that gives everything the same
score, the whole block is taken on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnclip.evaluation.block_scan import (
    Mask,
    Watcher,
    blocks,
    exact_scores,
    product_bound,
    reached,
    scan,
    scan_bound,
)
from cnclip.evaluation.many_pairs import ManyPairs
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, on_grid

__all__ = ["PairCounter", "PairRanks", "blocks", "count_above", "exact_scores"]

_ONE_BY_ONE = 500  # what it costs to place items among a query's pairs, in comparisons with one pair
_SPARSE_SHARE = 0.008  # of a block's comparisons; up to it, to pick out the items that are near is cheaper
_CROWDED_SHARE = 0.03  # above it, to look at all of them exactly is cheaper than to pick them out
_WORD = 8  # truth values that are added at once
_error_bound = product_bound


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


def count_above(
    image_rows: Rows,
    text_rows: Rows,
    pairs: Indices,
    *,
    block_rows: int,
    by_text: Sequence[Watcher] = (),
    by_image: Sequence[Watcher] = (),
) -> PairRanks:
    """Compare every pair's score with those of all images and all texts, in one pass over the blocks.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        pairs: int64 [P, 2] of (image index, text index).
        block_rows: see block_scan.scan; memory only, never the result.
        by_text, by_image: others that are shown the same blocks, see block_scan.scan.
    """
    scores = exact_scores(image_rows, text_rows, pairs)
    for_text = PairCounter(text_rows, image_rows, pairs[:, 1], scores)
    for_image = PairCounter(image_rows, text_rows, pairs[:, 0], scores)
    watchers = {"by_text": [for_text, *by_text], "by_image": [for_image, *by_image]}
    scan(image_rows, text_rows, **watchers, block_rows=block_rows)
    return PairRanks(scores, for_text.above, for_image.above)


class PairCounter:
    """One direction: queries, their gallery, and for each pair the count so far. A block_scan.Watcher.

    Queries of few pairs are laid out by place: row p holds each query's p-th pair, infinity where there is
    none. The others are counted one by one.

    Args:
        query_rows: float32 [Q, D].
        gallery_rows: float32 [G, D].
        owners: int64 [P]: the query of each pair.
        scores: float64 [P]: the pairs' exact scores in grid units.
    """

    def __init__(self, query_rows: Rows, gallery_rows: Rows, owners: Indices, scores: Scores) -> None:
        self._rows, self._gallery, self._owners = query_rows, gallery_rows, owners
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=len(query_rows))
        starts = np.cumsum(counts) - counts
        place = np.empty(len(owners), dtype=np.int64)
        place[order] = np.arange(len(owners)) - starts[owners[order]]
        most = _most_places(counts)
        self._place = np.where(counts[owners] <= most, place, -1)
        laid_out = self._place >= 0
        shape = (most, len(query_rows))
        self._scores = np.full(shape, np.inf)
        self._scores[place[laid_out], owners[laid_out]] = scores[laid_out]
        margin = scan_bound(query_rows.shape[1])
        self._low = (self._scores / GRID**2 - margin).astype(np.float32)
        self._high = (self._scores / GRID**2 + margin).astype(np.float32)
        self._lowest = self._low.min(axis=0, initial=np.inf)  # of each query's pairs
        self._counts: Indices = np.zeros(shape, dtype=np.int64)
        self._many = np.flatnonzero(counts > most)
        self._pairs_of_many = [order[starts[query] : starts[query] + counts[query]] for query in self._many]
        self._counted = [
            ManyPairs(query_rows[query], gallery_rows, scores[pairs])
            for query, pairs in zip(self._many, self._pairs_of_many, strict=True)
        ]

    @property
    def above(self) -> Indices:
        """int64 [P] the counts, in the order of the pairs."""
        counts = np.empty(len(self._owners), dtype=np.int64)
        few = self._place >= 0
        counts[few] = self._counts[self._place[few], self._owners[few]]
        for pairs, counted in zip(self._pairs_of_many, self._counted, strict=True):
            counts[pairs] = counted.above
        return counts

    def see(self, similarity: Rows, queries: slice, gallery: slice, *, queries_are_columns: bool) -> None:
        """Count one block: float32 [queries, gallery], or the other way round."""
        first, last = np.searchsorted(self._many, [queries.start, queries.stop])
        for query, pairs in zip(self._many[first:last], self._counted[first:last], strict=True):
            place = query - queries.start
            pairs.count(similarity[:, place] if queries_are_columns else similarity[place], gallery)
        if not len(self._counts):
            return
        possible = reached(similarity, self._lowest[queries], queries_are_columns=queries_are_columns)
        found = int(np.count_nonzero(possible))
        if not found:
            return
        if found <= _SPARSE_SHARE * len(self._counts) * similarity.size:
            self._count_found(similarity, possible, (queries, gallery), queries_are_columns)
        else:
            self._count_all(similarity, possible, (queries, gallery), queries_are_columns)

    def _count_found(
        self, similarity: Rows, possible: Mask, where: tuple[slice, slice], queries_are_columns: bool
    ) -> None:
        """Count where few items are above: only those."""
        query, item, values = _found(similarity, possible, where, queries_are_columns)
        first, size = where[0].start, where[0].stop - where[0].start
        unsure = np.zeros(len(values), dtype=bool)
        for place, counts in enumerate(self._counts[:, where[0]]):
            certain = values >= self._high[place, query]
            counts += np.bincount(query[certain] - first, minlength=size)
            unsure |= (values >= self._low[place, query]) & ~certain
        self._decide(query[unsure], item[unsure], values[unsure])

    def _count_all(
        self, similarity: Rows, spare: Mask, where: tuple[slice, slice], queries_are_columns: bool
    ) -> None:
        """Count where many items are above: the whole block, one pair of each query at a time."""
        queries = where[0]
        certain, unsure = np.empty_like(spare), np.zeros_like(spare)
        sums = []
        for low, high in zip(self._low[:, queries], self._high[:, queries], strict=True):
            reached(similarity, high, queries_are_columns=queries_are_columns, out=certain)
            sums.append(_counts(certain, 0 if queries_are_columns else 1))
            reached(similarity, low, queries_are_columns=queries_are_columns, out=spare)
            spare ^= certain
            unsure |= spare
        if np.count_nonzero(unsure) > _CROWDED_SHARE * similarity.size:
            exact = on_grid(self._rows[queries]) @ on_grid(self._gallery[where[1]]).T
            sums = [np.count_nonzero(exact >= level[:, None], axis=1) for level in self._scores[:, queries]]
        else:
            self._decide(*_found(similarity, unsure, where, queries_are_columns))
        self._counts[:, queries] += np.stack(sums)

    def _decide(self, query: Indices, item: Indices, values: Rows) -> None:
        """Count items whose float32 score is too near to one of the query's pairs to tell."""
        if not len(query):
            return
        exact = exact_scores(self._rows, self._gallery, np.stack([query, item], axis=1))
        for place, counts in enumerate(self._counts):
            near = (values >= self._low[place, query]) & (values < self._high[place, query])
            np.add.at(counts, query[near & (exact >= self._scores[place, query])], 1)


def _most_places(counts: Indices) -> int:
    """Up to how many pairs a query is laid out by place: what costs least, all queries taken together."""
    sizes = np.unique(counts)
    many = len(counts) - np.cumsum(np.bincount(np.searchsorted(sizes, counts)))
    return int(sizes[np.argmin(sizes * len(counts) + _ONE_BY_ONE * many)])


def _found(
    similarity: Rows, mask: Mask, where: tuple[slice, slice], queries_are_columns: bool
) -> tuple[Indices, Indices, Rows]:
    """Query, gallery item and float32 score of each true value of a block's mask."""
    found = np.flatnonzero(mask)
    row, column = np.divmod(found, mask.shape[1])
    query, item = (column, row) if queries_are_columns else (row, column)
    return query + where[0].start, item + where[1].start, similarity.ravel()[found]


def _counts(mask: Mask, axis: int) -> Indices:
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
