"""How sure the numbers of a retrieval run are, and whether two models differ on the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.per_query import Queries
from cnclip.evaluation.rows import Indices, Scores
from cnclip.evaluation.statistics import (
    CONFIDENCE,
    SAMPLES,
    Difference,
    Interval,
    in_words,
    intervals,
    only_one_right,
    paired_difference,
)

SHOWN = {"t2i": "文搜图 text→image", "i2t": "图搜文 image→text"}
METRICS = {
    "mean_recall": "MR",
    "median_rank": "中位名次 median",
    "mrr": "MRR",
    "map": "mAP",
    "ndcg10": "nDCG@10",
}
KS = (1, 5, 10)
_BLOCK_WEIGHTS = 1 << 22


@dataclass(frozen=True)
class Draws:
    """How intervals are drawn: the number of bootstrap samples and their seed."""

    samples: int = SAMPLES
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """One number of two models on the same queries.

    Attributes:
        first, second: the models' names.
        direction: "t2i" or "i2t".
        metric: r1, ..., mean_recall, map.
        difference: second minus first, percentage points.
    """

    first: str
    second: str
    direction: str
    metric: str
    difference: Difference

    @property
    def words(self) -> str:
        """One sentence."""
        name = f"{SHOWN[self.direction]} {metric_name(self.metric)}"
        said = in_words(self.difference, name, self.first, self.second)
        if not self.metric.startswith("r"):
            return said
        found = self.difference
        p = "p < 0.001" if found.mcnemar_p < 0.001 else f"p = {found.mcnemar_p:.3f}"
        taken = "（把各条查询当作独立的 as if queries were independent）" if found.grouped else ""
        return f"{said}; McNemar {p}{taken}{only_one_right(found, self.first, self.second)}"

    def to_json(self) -> dict[str, Any]:
        """For comparison.json."""
        found = self.difference
        value: dict[str, Any] = {
            "first": self.first,
            "second": self.second,
            "direction": self.direction,
            "metric": self.metric,
            "difference": round(found.interval.value, 4),
            "interval": [round(found.interval.low, 4), round(found.interval.high, 4)],
            "p": found.p,
            "differs": found.differs,
            "words": self.words,
        }
        if self.metric.startswith("r"):
            value |= {
                "first_only": found.first_only,
                "second_only": found.second_only,
                "mcnemar_p": found.mcnemar_p,
            }
        return value


def metric_name(metric: str) -> str:
    """How a number of results.json is shown: r1 -> R@1."""
    return METRICS.get(metric, f"R@{metric.removeprefix('r')}")


def query_intervals(queries: Queries, ks: Sequence[int], draws: Draws) -> dict[str, Interval]:
    """Each number with its 95 % interval, the queries of a group drawn together.

    Returns:
        r1 …, mean_recall, mean_rank, mrr, map, ndcg10, median_rank -> interval; percent but for the ranks.
    """
    values = queries.values(ks)
    columns = np.stack(list(values.values()), axis=1)
    found = intervals(columns, groups=queries.groups, samples=draws.samples, seed=draws.seed)
    median = median_interval(queries.ranks, queries.groups, draws)
    return {**dict(zip(values, found, strict=True)), "median_rank": median}


def median_interval(ranks: Indices, groups: Indices, draws: Draws) -> Interval:
    """The median rank with its bootstrap percentile interval.

    Args:
        ranks: int64 [Q].
        groups: int64 [Q]; queries with the same number are drawn together.
        draws: how many samples, and their seed.
    """
    _, place = np.unique(groups, return_inverse=True)
    count = int(place.max()) + 1
    order = np.argsort(ranks, kind="stable")
    ranks, place = ranks[order], place[order]
    rng = np.random.default_rng([draws.seed, count])
    medians = np.empty(draws.samples)
    height = max(1, _BLOCK_WEIGHTS // len(ranks))
    for start in range(0, draws.samples, height):
        drawn = rng.integers(0, count, size=(min(height, draws.samples - start), count))
        for number, row in enumerate(drawn, start=start):
            medians[number] = _weighted_median(ranks, np.bincount(row, minlength=count)[place])
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(medians, [tail, 100 - tail])
    return Interval(float(np.median(ranks)), float(low), float(high))


def compare_queries(
    names: tuple[str, str], queries: tuple[Mapping[str, Queries], Mapping[str, Queries]], draws: Draws
) -> list[Comparison]:
    """R@1, the mean of R@1, R@5 and R@10, and mAP of two models, both directions.

    Args:
        names: of the two models.
        queries: direction -> queries, of the two.
        draws: how many samples, and their seed.

    Raises:
        SourceError: the two runs have not the same labelled queries.
    """
    found = []
    for direction in SHOWN:
        first, second = (side[direction] for side in queries)
        mine, others = first.values(KS), in_order_of(first, second, names).values(KS)
        for metric in ("r1", "mean_recall", "map"):
            difference = paired_difference(
                mine[metric], others[metric], groups=first.groups, samples=draws.samples, seed=draws.seed
            )
            found.append(Comparison(*names, direction, metric, difference))
    return found


def in_order_of(first: Queries, second: Queries, names: tuple[str, str]) -> Queries:
    """The second run's queries in the order of the first's.

    Raises:
        SourceError: they are not the same queries.
    """
    if first.ids == second.ids:
        return second
    place = {name: number for number, name in enumerate(second.ids)}
    only_one = set(first.ids) ^ set(second.ids)
    if only_one or len(first.ids) != len(second.ids):
        raise SourceError(
            f"{names[0]} and {names[1]} were not asked the same queries: {len(only_one)} belong to only one,"
            f" such as {min(only_one, default='a repeated one')}",
            fix="measure both on the same store",
        )
    order = np.array([place[name] for name in first.ids], dtype=np.int64)
    changed = {
        name: getattr(second, name)[order] for name in ("groups", "ranks", "average_precision", "ndcg")
    }
    return replace(second, ids=first.ids, **changed)


def _weighted_median(values: Indices, weights: Indices) -> float:
    """Median of sorted values that stand there `weights` times each."""
    ends: Scores = np.cumsum(weights)
    total = int(ends[-1])
    low, high = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
    return float(values[low] + values[high]) / 2
