"""How well the queries of a slice do, against all other queries: recalls, intervals, p-values.

Intervals come from the bootstrap of `statistics`, the queries of one picture drawn together. The p-value of a
difference does not: where a slice of twenty queries has no hit at all, every resample of it has none, and the
bootstrap calls certain what is luck. It asks instead how far apart two sets of these sizes lie if neither is
special: the variance of all queries, and their correlation within a picture (Moulton, Random group effects
and the precision of regression estimates, 1986), with Student's t for the pictures of the smaller set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.stats import t as student

from cnclip.evaluation.rows import Indices, Scores
from cnclip.evaluation.statistics import CONFIDENCE, FEWEST
from cnclip.evaluation.uncertainty import KS, Draws

Mask = npt.NDArray[np.bool_]

LEAST = FEWEST  # queries, and pictures, below which nothing is said of a slice
METRICS = ("r1", "r10", "mean_recall")
DIFFERENCE = "difference"
_SLICES_AT_ONCE = 512
_BLOCK_WEIGHTS = 1 << 22


@dataclass(frozen=True)
class Outcomes:
    """How queries of one direction did.

    Attributes:
        ranks: int64 [Q] rank of the best correct item, 1 is best.
        groups: int64 [Q]; queries with the same number belong to one picture.
    """

    ranks: Indices
    groups: Indices

    def of(self, chosen: Mask | Indices) -> Outcomes:
        """Some of the queries."""
        return Outcomes(self.ranks[chosen], self.groups[chosen])

    def values(self) -> Scores:
        """float64 [Q, 3] of METRICS, percent; mean recall is that of R@1, R@5 and R@10."""
        hits = np.where(self.ranks[:, None] <= np.array(KS), 100.0, 0.0)
        return np.column_stack([hits[:, KS.index(1)], hits[:, KS.index(10)], hits.mean(axis=1)])


@dataclass(frozen=True)
class SliceNumbers:
    """Numbers of S slices.

    Attributes:
        queries, groups: int64 [S].
        means: name of METRICS or DIFFERENCE -> float64 [S] percent; the difference is that of mean recall,
            the slice minus all other queries.
        spans: the same names -> float64 [S, 2] 95 % intervals; NaN where there are none.
        p: float64 [S] that queries which are not special differ as much; NaN where there are too few.
        margin: float64 [S] percentage points that chance alone explains in 95 % of such slices; NaN as `p`.
    """

    queries: Indices
    groups: Indices
    means: dict[str, Scores]
    spans: dict[str, Scores]
    p: Scores
    margin: Scores


def members_of(masks: Sequence[Mask], queries: int) -> Any:
    """Sparse float64 [S, Q]: 1 where a query is in a slice."""
    columns = [np.flatnonzero(mask) for mask in masks]
    starts = np.cumsum([0, *map(len, columns)])
    places = np.concatenate(columns) if columns else np.empty(0, dtype=np.int64)
    return csr_array((np.ones(len(places)), places, starts), shape=(len(masks), queries))


def measure_slices(members: Any, outcomes: Outcomes, draws: Draws) -> SliceNumbers:
    """Recalls of slices, of all that is outside each of them, and what lies between.

    Args:
        members: sparse [S, Q], see members_of.
        outcomes: of the Q queries.
        draws: of the intervals; 0 samples make none.
    """
    values = outcomes.values()
    place = np.unique(outcomes.groups, return_inverse=True)[1]
    sizes = np.bincount(place).astype(np.float64) if len(place) else np.empty(0)
    inside = members @ _gathered(np.ones(len(place)), place, len(sizes))  # [S, G] queries of each picture
    counts = inside.sum(axis=1)
    sums, totals = members @ values, values.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts[:, None]
        rest = (totals - sums) / (len(place) - counts)[:, None]
    whole = (inside != 0).sum(axis=1)
    apart = means[:, 2] - rest[:, 2]
    judged = _enough(inside, counts, sizes)
    error, freedom = _null_error(inside, values[:, 2], place, sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(error > 0, 2 * student.sf(np.abs(apart) / error, freedom), 1.0)
        margin = student.ppf(0.5 + CONFIDENCE / 2, freedom) * error
    names = (*METRICS, DIFFERENCE)
    spans = {name: np.full((len(counts), 2), np.nan) for name in names}
    if draws.samples and judged.any():
        where = np.flatnonzero(judged)
        for chosen in np.array_split(where, -(-len(where) // _SLICES_AT_ONCE)):
            found = _intervals(members[chosen], values, place, draws)
            for name, span in zip(names, found, strict=True):
                spans[name][chosen] = span
    return SliceNumbers(
        queries=counts.astype(np.int64),
        groups=whole.astype(np.int64),
        means={**dict(zip(METRICS, means.T, strict=True)), DIFFERENCE: apart},
        spans=spans,
        p=np.where(judged, p, np.nan),
        margin=np.where(judged, margin, np.nan),
    )


def _gathered(values: Scores, place: Indices, groups: int) -> Any:
    """Sparse [Q, G]: each query's value in the column of its group."""
    return csr_array((values, place, np.arange(len(place) + 1)), shape=(len(place), groups))


def _enough(inside: Any, counts: Scores, sizes: Scores) -> Mask:
    """Which slices have LEAST queries and pictures, and leave as many outside."""
    least = np.minimum.reduce([counts, sizes.sum() - counts, _fewer_groups(inside, sizes)])
    enough: Mask = least >= LEAST
    return enough


def _fewer_groups(inside: Any, sizes: Scores) -> Indices:
    """Pictures of each slice, or of all that is outside it if these are fewer: int64 [S]."""
    full = inside.tocoo()
    emptied = np.bincount(full.row[full.data == sizes[full.col]], minlength=inside.shape[0])
    fewer: Indices = np.minimum((inside != 0).sum(axis=1), len(sizes) - emptied)
    return fewer


def _null_error(inside: Any, values: Scores, place: Indices, sizes: Scores) -> tuple[Scores, Scores]:
    """Standard error of the difference if the slice is not special, and degrees of freedom: float64 [S]."""
    counts = inside.sum(axis=1)
    queries = sizes.sum()
    others = queries - counts
    alike = within_correlation(values, place)
    squares = inside.multiply(inside).sum(axis=1)
    crossed = inside @ sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        together = (
            squares / counts**2
            - 2 * (crossed - squares) / (counts * others)
            + ((sizes**2).sum() - 2 * crossed + squares) / others**2
        )
        variance = np.var(values) * ((1 - alike) * (1 / counts + 1 / others) + alike * together)
    return np.sqrt(variance), np.maximum(1, _fewer_groups(inside, sizes) - 1)


def within_correlation(values: Scores, place: Indices) -> float:
    """How alike the values of one group are, 0 to 1: the intraclass correlation of a one-way analysis.

    Args:
        values: float64 [Q].
        place: int64 [Q] the group of each, from 0 on without a gap.
    """
    sizes = np.bincount(place)
    groups, queries = len(sizes), len(values)
    if groups < 2 or queries == groups:
        return 0.0
    means = np.bincount(place, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (groups - 1)
    within = float(((values - means[place]) ** 2).sum()) / (queries - groups)
    usual = (queries - float((sizes**2).sum()) / queries) / (groups - 1)
    spread = between + (usual - 1) * within
    return min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else 0.0


def _intervals(members: Any, values: Scores, place: Indices, draws: Draws) -> list[Scores]:
    """95 % intervals, float64 [S, 2] each, of METRICS and of the difference of mean recall."""
    groups = int(place.max()) + 1
    columns = np.column_stack([np.ones(len(values)), values])  # [Q, 1 + metrics]
    sums = [(members @ _gathered(column, place, groups)).tocsr() for column in columns.T]  # each [S, G]
    totals = np.column_stack([np.bincount(place, weights=column) for column in columns.T])
    drawn = np.empty((len(METRICS) + 1, members.shape[0], draws.samples))
    for start, weights in _weights(groups, draws):  # weights: float64 [G, draws]
        block = slice(start, start + weights.shape[1])
        of_slice = [part @ weights for part in sums]
        of_all = totals.T @ weights
        with np.errstate(invalid="ignore", divide="ignore"):
            for number in range(len(METRICS)):
                drawn[number, :, block] = of_slice[1 + number] / of_slice[0]
            outside = (of_all[-1] - of_slice[-1]) / (of_all[0] - of_slice[0])
        drawn[-1, :, block] = drawn[-2, :, block] - outside
    tail = 50 * (1 - CONFIDENCE)
    return [np.percentile(one, [tail, 100 - tail], axis=1).T for one in drawn]


def _weights(groups: int, draws: Draws) -> Iterator[tuple[int, Scores]]:
    """(number of the first, how often each group is drawn: float64 [G, draws]); those of bootstrap_means."""
    rng = np.random.default_rng([draws.seed, groups])
    height = max(1, _BLOCK_WEIGHTS // groups)
    for start in range(0, draws.samples, height):
        count = min(height, draws.samples - start)
        chosen = rng.integers(0, groups, size=(count, groups))
        yield start, np.stack([np.bincount(row, minlength=groups) for row in chosen], axis=1).astype(float)
