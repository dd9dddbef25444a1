"""What a retrieval run found: ranks of every query and the numbers that come from them, both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnclip.evaluation.query_metrics import QueryMetrics, query_metrics
from cnclip.evaluation.rows import Indices, Rows, Scores

_GREATEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class DirectionResult:
    """One direction; recalls, average precision and nDCG in percent.

    Attributes:
        recall: K -> share of labelled queries whose best correct item has rank <= K.
        mean_recall: mean of `recall` over its Ks.
        median_rank: median rank of the best correct item, 1 is best.
        mean_rank: mean rank of the best correct item.
        mrr: mean of 100 / rank of the best correct item.
        mean_average_precision: over all correct items of each query.
        ndcg: nDCG@10 with gain 1 for a correct item.
        queries: labelled queries, the denominator.
        unlabelled: queries without a correct item, left out.
        gallery: items that are ranked for each query.
        chance: K -> expected recall of a random order of the gallery.
        per_query: the numbers of each query, unlabelled ones included.
        scores: float32 [queries + unlabelled] cosine similarity of the best correct item; NaN for an
            unlabelled query.
    """

    recall: dict[int, float]
    mean_recall: float
    median_rank: float
    mean_rank: float
    mrr: float
    mean_average_precision: float
    ndcg: float
    queries: int
    unlabelled: int
    gallery: int
    chance: dict[int, float]
    per_query: QueryMetrics
    scores: Rows

    @property
    def ranks(self) -> Indices:
        """int64 [queries + unlabelled] rank of each query's best correct item; 0 for an unlabelled query."""
        return self.per_query.ranks

    @property
    def chance_mean_recall(self) -> float:
        """Mean of `chance` over its Ks, percent."""
        return float(np.mean(list(self.chance.values())))


@dataclass(frozen=True)
class RetrievalResult:
    """Both directions: text -> image and image -> text."""

    t2i: DirectionResult
    i2t: DirectionResult

    @property
    def mean_recall(self) -> float:
        """Mean of the two directions' mean recall, percent."""
        return (self.t2i.mean_recall + self.i2t.mean_recall) / 2

    def metrics(self) -> dict[str, float]:
        """Flat numbers for a training log, percent: t2i_r1, ..., i2t_mean_recall, mean_recall."""
        flat: dict[str, float] = {}
        for name, direction in (("t2i", self.t2i), ("i2t", self.i2t)):
            flat |= {f"{name}_r{k}": value for k, value in direction.recall.items()}
            flat[f"{name}_mean_recall"] = direction.mean_recall
        flat["mean_recall"] = self.mean_recall
        return flat


def direction_result(
    owners: Indices, scores: Scores, above: Indices, shape: tuple[int, int], ks: Sequence[int]
) -> DirectionResult:
    """Numbers of one direction from its pairs.

    Args:
        owners: int64 [P] the query of each correct pair.
        scores: float64 [P] what the pairs are ranked by.
        above: int64 [P] items of the gallery, correct ones too, that score at least as high for that query.
        shape: (queries, gallery).
        ks: the Ks.
    """
    per_query = query_metrics(owners, scores, above, shape[0])
    labelled = per_query.ranks > 0
    found = per_query.ranks[labelled]
    recall = {k: float(100 * (found <= k).mean()) for k in ks}
    best = np.full(shape[0], -np.inf)
    np.maximum.at(best, owners, scores)
    positives = np.bincount(owners, minlength=shape[0])
    return DirectionResult(
        recall=recall,
        mean_recall=float(np.mean(list(recall.values()))),
        median_rank=float(np.median(found)),
        mean_rank=float(found.mean()),
        mrr=float(100 * (1 / found).mean()),
        mean_average_precision=float(100 * per_query.average_precision[labelled].mean()),
        ndcg=float(100 * per_query.ndcg[labelled].mean()),
        queries=len(found),
        unlabelled=int((~labelled).sum()),
        gallery=shape[1],
        chance={k: expected_recall(positives[labelled], shape[1], k) for k in ks},
        per_query=per_query,
        scores=np.where(labelled, np.clip(best, -_GREATEST, _GREATEST), np.nan).astype(np.float32),
    )


def expected_recall(positive_counts: Indices, gallery: int, k: int) -> float:
    """Recall@k of a random order, percent: 1 - C(G-m, k) / C(G, k), averaged over the queries' m.

    Args:
        positive_counts: int64 [Q], correct items of each query, each >= 1.
        gallery: G, items that are ranked.
    """
    misses = np.ones(len(positive_counts))
    for drawn in range(min(k, gallery)):
        misses *= np.maximum(gallery - positive_counts - drawn, 0) / (gallery - drawn)
    return float(100 * (1 - misses).mean())
