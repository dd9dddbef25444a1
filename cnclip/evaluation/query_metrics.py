"""From the scores of the correct items to each query's rank, average precision and nDCG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnclip.evaluation.rows import Indices, Scores

NDCG_DEPTH = 10


@dataclass(frozen=True)
class QueryMetrics:
    """Numbers of each query.

    Attributes:
        ranks: int64 [Q] rank of the best correct item, 1 is best; 0 where there is none.
        average_precision: float64 [Q], 0 to 1; NaN where there is no correct item.
        ndcg: float64 [Q], 0 to 1, at depth 10 with gain 1; NaN where there is no correct item.
    """

    ranks: Indices
    average_precision: Scores
    ndcg: Scores


def query_metrics(owners: Indices, scores: Scores, above: Indices, queries: int) -> QueryMetrics:
    """Rank every correct item behind the incorrect ones that score at least as high.

    Args:
        owners: int64 [P] the query of each correct item.
        scores: float64 [P] their scores.
        above: int64 [P] items of the gallery, itself and other correct ones included, that score at least as
            high for that query.
        queries: Q.
    """
    order = np.lexsort((-scores, owners))
    owners, scores, above = owners[order], scores[order], above[order]
    counts = np.bincount(owners, minlength=queries)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(owners)) - starts[owners] + 1  # among the query's correct items, best first
    ends_tie = np.append((np.diff(owners) != 0) | (np.diff(scores) != 0), True)
    tie_end = np.flatnonzero(ends_tie)[np.cumsum(np.append(0, ends_tie[:-1]))]
    ranks = above - place[tie_end] + place  # correct items of at least this score stand not in its way
    precision = np.bincount(owners, weights=place / ranks, minlength=queries)
    gain = np.where(ranks <= NDCG_DEPTH, 1 / np.log2(ranks + 1), 0.0)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, NDCG_DEPTH + 2)))])
    best = np.zeros(queries, dtype=np.int64)
    best[owners[place == 1]] = ranks[place == 1]
    with np.errstate(invalid="ignore"):
        return QueryMetrics(
            ranks=best,
            average_precision=precision / counts,
            ndcg=np.bincount(owners, weights=gain, minlength=queries) / ideal[np.minimum(counts, NDCG_DEPTH)],
        )
