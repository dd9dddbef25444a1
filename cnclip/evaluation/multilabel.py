"""Zero-shot classification of pictures that show several classes: average precision of each class.

A class ranks the pictures by its log-probability, ln softmax(100 * cosine) over the classes: the way in which
published VOC 2007 numbers of CLIP models were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.calibration import FIXED_SCALE, log_probabilities
from cnclip.evaluation.class_metrics import Marks, average_precisions, mean_average_precision, resampled
from cnclip.evaluation.rows import Indices, Rows, Scores
from cnclip.evaluation.statistics import Interval, intervals


@dataclass(frozen=True)
class MarkedClass:
    """One class.

    Attributes:
        name: as in the class-name file.
        images: pictures that show it.
        average_precision: 11-point, percent; None where no picture shows it.
    """

    name: str
    images: int
    average_precision: float | None


@dataclass(frozen=True)
class MultiLabelResult:
    """Numbers in percent.

    Attributes:
        map11: mean of the classes' 11-point average precision, with its interval.
        chance: what constant scores get: the mean share of the judged pictures that show a class.
        top1, top5: share of pictures with a shown class at the top, or among the first five; of those that
            show a class.
        spans: "top1", "top5" -> value with its interval.
        images: pictures measured.
        classes: one result per class, in file order.
        ranks: int64 [images], place of the best shown class; 0 for pictures that show none.
    """

    map11: Interval
    chance: float
    top1: float
    top5: float
    spans: dict[str, Interval]
    images: int
    classes: list[MarkedClass]
    ranks: Indices = field(repr=False)


def classify_marked(
    cosines: Rows, marks: Marks, class_names: Sequence[str], *, samples: int = 200
) -> MultiLabelResult:
    """Average precisions and hits.

    Args:
        cosines: float32 [N, C].
        marks: int8 [N, C].
        class_names: C names, for the result.
        samples: bootstrap draws of the interval.

    Raises:
        SourceError: no picture shows any class.
    """
    if not (marks == 1).any():
        raise SourceError("no picture shows any class, so there is no average precision")
    scores = log_probabilities(cosines, FIXED_SCALE)
    ranks = best_shown_ranks(cosines, marks)
    judged = ranks[ranks > 0]
    hits: Scores = 100 * np.stack([judged <= 1, judged <= 5], axis=1).astype(np.float64)
    each = zip(class_names, marks.T, average_precisions(scores, marks), strict=True)
    return MultiLabelResult(
        map11=resampled(
            lambda weights: mean_average_precision(scores, marks, weights), len(marks), samples=samples
        ),
        chance=mean_average_precision(np.zeros_like(scores), marks),
        top1=float(hits[:, 0].mean()),
        top5=float(hits[:, 1].mean()),
        spans=dict(zip(("top1", "top5"), intervals(hits), strict=True)),
        images=len(marks),
        classes=[MarkedClass(name, int((mark == 1).sum()), value) for name, mark, value in each],
        ranks=ranks,
    )


def best_shown_ranks(cosines: Rows, marks: Marks) -> Indices:
    """Place of each picture's best shown class among those not shown, ties last: int64 [N], 0 for none.

    Args:
        cosines: float32 [N, C].
        marks: int8 [N, C]; a class that is not judged neither hits nor stands in the way.
    """
    best = np.where(marks == 1, cosines, -np.inf).max(axis=1, keepdims=True)
    ahead = np.count_nonzero((cosines >= best) & (marks == 0), axis=1)
    ranks: Indices = np.where((marks == 1).any(axis=1), 1 + ahead, 0)
    return ranks
