"""The k best gallery items of every query: exact, at the price of one float32 product.

While the blocks go by, a few more items than are asked for are kept by their float32 scores. Those that may
be among the k best are then scored on the grid of `rows`, where scores are exact. A float32 score is within a
known bound of that, so nearly always the items that were not kept are known to be worse; queries for which
they may not be, such as those with many equal items, are compared with the whole gallery on the grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.block_scan import Mask, blocks, reached, scan_bound
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, on_grid

_SPARE = 2  # items kept beyond k, so that the bound decides nearly always
_GROUPS = 16  # groups for each item kept, whose best scores tell where a query's first block is cut
_CHUNK = 1024  # queries that are sorted at once
_CACHED_ROWS = 256  # rows that are scored exactly at once: what fits into a core's cache
_FALLBACK_AREA = 1 << 22  # exact scores held at once
_RADIX = 1 << 16  # numbers below it are sorted in linear time
_LOW = np.int64(0xFFFFFFFF)
_NOTHING = np.iinfo(np.int64).min


class BestItems:
    """One direction: queries, their gallery, and the best items so far. A block_scan.Watcher.

    Args:
        query_rows: float32 [Q, D].
        gallery_rows: float32 [G, D].
        k: how many; at most G are found.
    """

    def __init__(self, query_rows: Rows, gallery_rows: Rows, k: int) -> None:
        self._rows, self._gallery = query_rows, gallery_rows
        self._k = min(k, len(gallery_rows))
        self._width = min(k + _SPARE, len(gallery_rows))
        # float32 score above, ~item below: sorted as numbers they are sorted by score, then by first item
        self._kept: Indices = np.full((len(query_rows), self._width), _NOTHING)

    def see(self, similarity: Rows, queries: slice, gallery: slice, *, queries_are_columns: bool) -> None:
        """Take one block in: float32 [queries, gallery], or the other way round."""
        levels = _score(self._kept[queries, 0])
        if levels.min() == -np.inf:
            levels = np.maximum(levels, self._first_levels(similarity, 0 if queries_are_columns else 1))
        levels = np.nextafter(levels, np.float32(np.inf), where=levels > -np.inf, out=levels)
        above = reached(similarity, levels, queries_are_columns=queries_are_columns)
        query, item, values = _by_query(similarity, above, queries_are_columns)
        if not len(query):
            return
        counts = np.bincount(query, minlength=queries.stop - queries.start)
        touched = np.flatnonzero(counts)
        place = self._width + np.arange(len(query)) - (np.cumsum(counts) - counts)[query]
        line = (np.cumsum(counts > 0) - 1)[query]
        keys = np.full((len(touched), self._width + int(counts.max())), _NOTHING)
        touched += queries.start
        keys[:, : self._width] = self._kept[touched]
        keys[line, place] = _keys(values, item + gallery.start)
        keys.sort(axis=1)
        self._kept[touched] = keys[:, -self._width :]

    def _first_levels(self, similarity: Rows, axis: int) -> Rows:
        """Scores just below ones that enough items of a query's first block reach: float32 [queries]."""
        items, groups = similarity.shape[axis], _GROUPS * self._width
        if items < 2 * groups:
            best = similarity if axis else similarity.T
        elif axis:
            whole = similarity[:, : items // groups * groups]
            best = whole.reshape(len(whole), groups, -1).max(axis=2)
        else:
            whole = similarity[: items // groups * groups]
            best = whole.reshape(-1, groups, whole.shape[1]).max(axis=0).T
        if best.shape[1] < self._width:
            return np.full(len(best), -np.inf, dtype=np.float32)
        least = np.partition(best, -self._width, axis=1)[:, -self._width]
        return np.nextafter(least, np.float32(-np.inf), dtype=np.float32)

    def found(self) -> tuple[Indices, Rows]:
        """The best items, best first, equal scores in gallery order.

        Returns:
            int64 [Q, min(k, G)] gallery indices and float32 [Q, min(k, G)] cosine similarities.
        """
        index = np.empty((len(self._rows), self._k), dtype=np.int64)
        score = np.empty((len(self._rows), self._k), dtype=np.float32)
        if not index.size:
            return index, score
        margin = scan_bound(self._rows.shape[1])
        unsure = []
        for chunk in blocks(len(index), _CHUNK):
            kept = self._kept[chunk]
            items, exact = self._exact(chunk, np.sort(~kept & _LOW, axis=1))
            index[chunk], score[chunk] = items[:, : self._k], exact[:, : self._k]
            reach = _score(kept[:, 0]).astype(np.float64) + margin  # of the items that were not kept
            unsure.append(chunk.start + np.flatnonzero(reach >= exact[:, self._k - 1]))
        if self._width < len(self._gallery):
            self._among_all(np.concatenate(unsure), index, score)
        return index, score

    def _exact(self, queries: slice, items: Indices) -> tuple[Indices, Scores]:
        """Items [Q, W] of ascending index with exact cosine similarities, best first."""
        exact = np.empty(items.shape)
        for few in blocks(len(items), max(1, _CACHED_ROWS // self._width)):
            rows = on_grid(self._rows[queries][few])
            exact[few] = np.matmul(on_grid(self._gallery[items[few]]), rows[:, :, None])[:, :, 0]
        exact /= GRID**2
        order = np.argsort(-exact, axis=1, kind="stable")
        return np.take_along_axis(items, order, axis=1), np.take_along_axis(exact, order, axis=1)

    def _among_all(self, queries: Indices, index: Indices, score: Rows) -> None:
        """Write the k best of the whole gallery for the queries named."""
        gallery = len(self._gallery)
        for chunk in blocks(len(queries), max(1, _FALLBACK_AREA // gallery)):
            rows = on_grid(self._rows[queries[chunk]])
            parts = [rows @ on_grid(self._gallery[part]).T for part in blocks(gallery, 4096)]
            for query, exact in zip(queries[chunk], np.concatenate(parts, axis=1) / GRID**2, strict=True):
                places = np.flatnonzero(exact >= np.partition(exact, -self._k)[-self._k])
                places = places[np.argsort(-exact[places], kind="stable")[: self._k]]
                index[query], score[query] = places, exact[places]


def _by_query(similarity: Rows, mask: Mask, queries_are_columns: bool) -> tuple[Indices, Indices, Rows]:
    """Query, item and score of each true value, by queries; both count from the block's corner."""
    found = np.flatnonzero(mask)
    row, column = np.divmod(found, mask.shape[1])
    values = similarity.ravel()[found]
    if not queries_are_columns:
        return row, column, values
    order = np.argsort(column.astype(np.uint16 if mask.shape[1] <= _RADIX else np.int64), kind="stable")
    return column[order], row[order], values[order]


def _keys(scores: Rows, items: Indices) -> Indices:
    """Numbers that are in the order of the scores, and of equal scores in the reverse one of the items."""
    return (_flip(scores.view(np.int32)).astype(np.int64) << 32) | (~items & _LOW)


def _score(keys: Indices) -> Rows:
    """The score of each key: float32; -infinity where there is none yet."""
    scores = _flip((keys >> 32).astype(np.int32)).view(np.float32)
    return np.where(keys == _NOTHING, np.float32(-np.inf), scores)


def _flip(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Bits of floats as integers of the same order, and back."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
