"""How many items of the gallery have at least the corrected score of each correct pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.block_scan import blocks, exact_scores
from cnclip.evaluation.corrections_sums import exact_blocks
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores

Places = npt.NDArray[np.int64]
# (similarity float64, queries, items) -> score float64, item by item; the three shapes broadcast
Correct = Callable[[Scores, Places, Places], Scores]
_ONE_BY_ONE = 100  # pairs of a query above which items are placed among its sorted scores


def corrected_ranks(
    query_rows: Rows, gallery_rows: Rows, pairs: Indices, correct: Correct, *, block_rows: int
) -> tuple[Scores, Indices]:
    """Corrected scores of the pairs, and the items that score at least as high for the pair's query.

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length.
        pairs: int64 [P, 2] of (query, correct item).
        correct: the corrected score; the same number for the same similarity, query and item.
        block_rows: memory only, never the result.

    Returns:
        float64 [P] and int64 [P], correct items counted too.
    """
    owners, items = pairs[:, 0], pairs[:, 1]
    scores = correct(exact_scores(query_rows, gallery_rows, pairs) / GRID**2, owners, items)
    order = np.lexsort((scores, owners))
    counter = _Counter(owners[order], scores[order])
    for gallery in blocks(len(gallery_rows), 2 * block_rows):
        places = np.arange(gallery.start, gallery.stop)
        first = 0
        for similarity in exact_blocks(query_rows, gallery_rows[gallery], block_rows):
            queries = np.arange(first, first + len(similarity))
            counter.see(correct(similarity, queries[:, None], places), first)
            first += len(similarity)
    above = np.empty(len(pairs), dtype=np.int64)
    above[order] = counter.above
    return scores, above


class _Counter:
    """Counts for pairs that are sorted by query, then by score.

    Args:
        owners: int64 [P] the query of each pair.
        scores: float64 [P].
    """

    def __init__(self, owners: Indices, scores: Scores) -> None:
        self._owners, self._scores = owners, scores
        self.above: Indices = np.zeros(len(owners), dtype=np.int64)

    def see(self, corrected: Scores, first: int) -> None:
        """Count a block: float64 [queries, items]; `first` is the number of its first query."""
        start, end = np.searchsorted(self._owners, [first, first + len(corrected)])
        owners, scores, above = (one[start:end] for one in (self._owners, self._scores, self.above))
        if not len(owners):
            return
        owners = owners - first
        counts = np.bincount(owners, minlength=len(corrected))
        starts = np.cumsum(counts) - counts
        for place in range(min(_ONE_BY_ONE, int(counts.max()))):
            having = np.flatnonzero((counts > place) & (counts <= _ONE_BY_ONE))
            pairs = starts[having] + place
            part = corrected if len(having) == len(corrected) else corrected[having]
            above[pairs] += np.count_nonzero(part >= scores[pairs, None], axis=1)
        for query in np.flatnonzero(counts > _ONE_BY_ONE):
            mine: Any = slice(starts[query], starts[query] + counts[query])
            reached = np.searchsorted(scores[mine], corrected[query], side="right")
            total = np.bincount(reached, minlength=counts[query] + 1)
            above[mine] += np.cumsum(total[::-1])[::-1][1:]
