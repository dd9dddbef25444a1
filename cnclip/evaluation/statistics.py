"""How sure a measured number is, and whether two models differ: bootstrap and McNemar's test.

Queries that belong together, such as the captions of one picture, are drawn together: as independent draws
they would make the interval too narrow (Field and Welsh, Bootstrapping clustered data, 2007). Everything is a
pure function of the values and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from cnclip.errors import SourceError
from cnclip.evaluation.rows import Indices, Scores

SAMPLES = 1000
CONFIDENCE = 0.95
FEWEST = 20  # independent draws; from fewer no bootstrap interval is trusted
_BLOCK_DRAWS = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap percentile interval, in the unit of the values."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Second model minus first, on the same queries.

    Attributes:
        interval: of the mean difference.
        p: share of bootstrap samples on the other side of zero, twice the smaller one; at least 2 / samples.
        first_only, second_only: queries that only the first or only the second gets right.
        mcnemar_p: chance of such an uneven split between equal models (McNemar 1947, exactly). It takes
            queries for independent: where some belong together (`grouped`) it is too small.
        drawn: groups of queries that the bootstrap draws from; None = not known, taken for enough.
        grouped: whether some queries were drawn together, such as the captions of one picture.
    """

    interval: Interval
    p: float
    first_only: int
    second_only: int
    mcnemar_p: float
    drawn: int | None = None
    grouped: bool = False

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out zero, and is of enough queries: five that agree prove nothing."""
        return not self.too_few and (self.interval.low > 0 or self.interval.high < 0)

    @property
    def too_few(self) -> bool:
        """Whether there are too few independent queries for a verdict."""
        return self.drawn is not None and self.drawn < FEWEST


def bootstrap_means(
    values: Scores, *, groups: Indices | None = None, samples: int = SAMPLES, seed: int = 0
) -> Scores:
    """Means of resampled queries: float64 [samples, M], the same draws for all M columns.

    Args:
        values: float64 [Q, M] of Q queries, without NaN.
        groups: int64 [Q]; queries with the same number are drawn together. None draws each for itself.
        samples: how many.
        seed: of the draws.

    Raises:
        SourceError: no queries.
    """
    if not len(values):
        raise SourceError("no labelled queries, so there is nothing to resample")
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        _, place = np.unique(groups, return_inverse=True)
        sizes = np.bincount(place).astype(np.float64)
        sums = np.stack([np.bincount(place, weights=column) for column in values.T], axis=1)
    rng = np.random.default_rng([seed, len(sums)])
    totals = np.column_stack([sums, sizes])  # [G, M + 1]
    means = np.empty((samples, values.shape[1]))
    height = max(1, _BLOCK_DRAWS // len(sums))
    for start in range(0, samples, height):
        count = min(height, samples - start)
        drawn = rng.integers(0, len(sums), size=(count, len(sums)))
        weights = np.stack([np.bincount(row, minlength=len(sums)) for row in drawn])
        resampled = weights @ totals
        means[start : start + count] = resampled[:, :-1] / resampled[:, -1:]
    return means


def intervals(
    values: Scores,
    *,
    groups: Indices | None = None,
    samples: int = SAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> list[Interval]:
    """The mean of each column with its interval; see bootstrap_means."""
    means = bootstrap_means(values, groups=groups, samples=samples, seed=seed)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return [
        Interval(float(value), float(least), float(most))
        for value, least, most in zip(values.mean(axis=0), low, high, strict=True)
    ]


def paired_difference(
    first: Scores, second: Scores, *, groups: Indices | None = None, samples: int = SAMPLES, seed: int = 0
) -> Difference:
    """Compare two models on the same queries.

    Args:
        first, second: float64 [Q] of the same queries in the same order; for McNemar's test a query is right
            where its value is above 0.
        groups, samples, seed: see bootstrap_means.

    Raises:
        SourceError: another number of queries, or none.
    """
    if first.shape != second.shape:
        raise SourceError(f"{len(first)} queries of the first model, {len(second)} of the second")
    change = (second - first)[:, None]
    means = bootstrap_means(change, groups=groups, samples=samples, seed=seed)[:, 0]
    low, high = np.percentile(means, [50 * (1 - CONFIDENCE), 100 - 50 * (1 - CONFIDENCE)])
    tails = int(min((means <= 0).sum(), (means >= 0).sum()))
    right, too = first > 0, second > 0
    first_only, second_only = int((right & ~too).sum()), int((too & ~right).sum())
    drawn = len(change) if groups is None else len(np.unique(groups))
    return Difference(
        interval=Interval(float(change.mean()), float(low), float(high)),
        p=min(1.0, 2 * max(tails, 1) / samples),
        first_only=first_only,
        second_only=second_only,
        mcnemar_p=mcnemar(first_only, second_only),
        drawn=drawn,
        grouped=drawn < len(change),
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p-value of McNemar's test, exactly: the sign test on the queries that only one gets right.

    Args:
        first_only, second_only: queries that only one of the two gets right.
    """
    differing = first_only + second_only
    if not differing:
        return 1.0
    return float(min(1.0, 2 * binom.cdf(min(first_only, second_only), differing, 0.5)))


def only_one_right(difference: Difference, first: str, second: str) -> str:
    """How many queries or pictures only one of two models gets right, each model by its name."""
    sides = ((first, difference.first_only), (second, difference.second_only))
    return "（" + "，".join(f"只有 {name} 对 only {name} right: {count}" for name, count in sides) + "）"


def in_words(difference: Difference, name: str, first: str, second: str) -> str:
    """One Chinese and English sentence on a difference in percentage points.

    Args:
        difference: of values in percent.
        name: of the number, such as R@1.
        first, second: the models' names.
    """
    span = difference.interval
    figures = f"{span.value:+.2f} [{span.low:+.2f}, {span.high:+.2f}]"
    if difference.too_few:
        return (
            f"{name}：只有 {difference.drawn} 个独立样本，太少，不下结论 only {difference.drawn} independent"
            f" samples, too few to tell {second} from {first} ({figures})"
        )
    if not difference.differs:
        return (
            f"{name}：{second} 与 {first} 没有可靠的差别 these two do not differ reliably ({figures},"
            f" p = {difference.p:.3f})"
        )
    better, worse = (second, first) if span.value > 0 else (first, second)
    return f"{name}：{better} 好于 is better than {worse} ({figures}, p = {difference.p:.3f})"
