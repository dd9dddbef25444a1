"""A query with many correct items, such as a class name and its thousand pictures: counted in one go.

To compare the gallery with one pair after another takes as long as there are pairs. Here each item is placed
among the sorted scores of all pairs instead, and the counts are added up at the end.
"""

from __future__ import annotations

import numpy as np

from cnclip.evaluation.block_scan import exact_scores, scan_bound
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores


class ManyPairs:
    """The pairs of one query, and for each the items so far that score at least as high.

    Args:
        query_row: float32 [D].
        gallery_rows: float32 [G, D].
        scores: float64 [P] exact scores of the pairs in grid units, in the caller's order.
    """

    def __init__(self, query_row: Rows, gallery_rows: Rows, scores: Scores) -> None:
        self._row, self._gallery = query_row[None], gallery_rows
        self._order = np.argsort(scores, kind="stable")
        self._scores = scores[self._order]
        margin = scan_bound(len(query_row))
        self._low = (self._scores / GRID**2 - margin).astype(np.float32)
        high = (self._scores / GRID**2 + margin).astype(np.float32)
        self._high_before = np.concatenate([[np.float32(-np.inf)], high])
        self._reached: Indices = np.zeros(len(scores) + 1, dtype=np.int64)  # items that reach the n lowest

    def count(self, similarity: Rows, gallery: slice) -> None:
        """Take a stretch of the gallery in: float32 [items]."""
        pairs = np.searchsorted(self._low, similarity, side="right")
        unsure = np.flatnonzero(similarity < self._high_before[pairs])
        if len(unsure):
            asked = np.stack([np.zeros_like(unsure), unsure + gallery.start], axis=1)
            exact = exact_scores(self._row, self._gallery, asked)
            pairs[unsure] = np.searchsorted(self._scores, exact, side="right")
        self._reached += np.bincount(pairs, minlength=len(self._reached))

    @property
    def above(self) -> Indices:
        """int64 [P] the counts, in the order of the scores given."""
        counts = np.empty(len(self._order), dtype=np.int64)
        counts[self._order] = np.cumsum(self._reached[::-1])[::-1][1:]
        return counts
