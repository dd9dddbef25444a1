"""Numbers of a classification beyond top-1: ROC-AUC, 11-point mAP, macro averages, and how sure each is.

All values are percent. Ties count against the model, with one exception: equal scores give ROC-AUC half a
point, which is its definition (the Mann-Whitney statistic; Hanley and McNeil 1982), so that a constant model
stands at 50, the chance level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from cnclip.errors import SourceError
from cnclip.evaluation.rows import Indices, Scores
from cnclip.evaluation.statistics import CONFIDENCE, SAMPLES, Interval

MetricName = Literal["accuracy", "mean-per-class", "11point_mAP", "roc_auc"]
Marks = npt.NDArray[np.int8]  # [N, C]: 1 shown, 0 not shown, -1 not judged
Flags = npt.NDArray[np.bool_]
_RECALL_STEPS = 10


def roc_auc(scores: Scores, positive: Flags, weights: Indices | None = None) -> float:
    """Chance that a positive scores above a negative, percent; a tie counts half.

    Args:
        scores: float64 [N].
        positive: bool [N].
        weights: int64 [N], how often each item stands; None is once.

    Raises:
        SourceError: no positives or no negatives.
    """
    counts = np.ones(len(scores), dtype=np.int64) if weights is None else weights
    _, group = np.unique(scores, return_inverse=True)
    positives = np.bincount(group, weights=counts * positive)
    negatives = np.bincount(group, weights=counts * ~positive)
    if not positives.sum() or not negatives.sum():
        raise SourceError("ROC-AUC needs pictures of both classes", fix="label both, or take another metric")
    below = np.cumsum(negatives) - negatives
    return float(100 * (positives @ (below + negatives / 2)) / (positives.sum() * negatives.sum()))


def average_precision_11(scores: Scores, marks: Marks, weights: Indices | None = None) -> float | None:
    """11-point interpolated average precision of one class (Everingham et al., VOC 2007 development kit).

    The mean over recall 0, 0.1 … 1 of the best precision at that recall or above; among equal scores the
    negatives stand first. Pictures that are not judged are as if they were not there.

    Args:
        scores: float64 [N].
        marks: int8 [N].
        weights: int64 [N], how often each item stands; None is once.

    Returns:
        percent; None where the class has no positive.
    """
    order = np.lexsort((marks, -scores))
    order = order[marks[order] >= 0]
    counts = np.ones(len(scores), dtype=np.int64) if weights is None else weights
    counted, shown = counts[order], marks[order] == 1
    found = np.cumsum(counted * shown)
    if not len(found) or not found[-1]:
        return None
    passed = np.maximum(np.cumsum(counted), 1)
    best_from_here = np.maximum.accumulate((found / passed)[::-1])[::-1]
    needed = np.arange(_RECALL_STEPS + 1) * found[-1]  # recall r/10 is reached where 10 * found >= r * all
    return float(100 * best_from_here[np.searchsorted(_RECALL_STEPS * found, needed)].mean())


def average_precisions(scores: Scores, marks: Marks, weights: Indices | None = None) -> list[float | None]:
    """`average_precision_11` of each class; scores float64 [N, C], marks int8 [N, C]."""
    return [average_precision_11(*pair, weights) for pair in zip(scores.T, marks.T, strict=True)]


def mean_average_precision(scores: Scores, marks: Marks, weights: Indices | None = None) -> float:
    """Mean of the classes' 11-point average precision, classes without positives left out; percent.

    Raises:
        SourceError: no class has a positive.
    """
    known = [value for value in average_precisions(scores, marks, weights) if value is not None]
    if not known:
        raise SourceError("no picture shows any class, so there is no average precision")
    return float(np.mean(known))


def macro_f1(confusion: Indices) -> float:
    """Mean over classes of F1, percent; classes neither shown nor predicted are left out.

    Args:
        confusion: int64 [C, C], row = true class.
    """
    right = np.diagonal(confusion)
    involved = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(100 * np.mean(2 * right[involved > 0] / involved[involved > 0]))


def macro_f1_interval(
    labels: Indices, predicted: Indices, classes: int, *, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """`macro_f1` with its interval.

    Args:
        labels, predicted: int64 [N], class numbers.
        classes: C.
        samples, seed: of the bootstrap.
    """

    def measure(weights: Indices | None) -> float:
        counts = np.ones(len(labels)) if weights is None else weights
        right = np.bincount(labels, weights=counts * (labels == predicted), minlength=classes)
        involved = np.bincount(labels, weights=counts, minlength=classes)
        involved += np.bincount(predicted, weights=counts, minlength=classes)
        return float(100 * np.mean(2 * right[involved > 0] / involved[involved > 0]))

    return resampled(measure, len(labels), samples=samples, seed=seed)


def precisions(confusion: Indices) -> list[float | None]:
    """Share of each class's predictions that are right, percent; None where it was never predicted."""
    predicted = confusion.sum(axis=0)
    return [100 * int(confusion[c, c]) / int(count) if count else None for c, count in enumerate(predicted)]


def mean_per_class_interval(confusion: Indices, *, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """Mean per class with its interval: pictures are drawn anew within each class.

    Drawing n right-or-wrong pictures with replacement gives a binomial count, so that count is drawn.

    Args:
        confusion: int64 [C, C], row = true class.
        samples, seed: of the bootstrap.

    Raises:
        SourceError: no pictures.
    """
    images = confusion.sum(axis=1)
    if not images.any():
        raise SourceError("no labelled pictures, so there is nothing to resample")
    shown = images[images > 0]
    share = np.diagonal(confusion)[images > 0] / shown
    drawn = np.random.default_rng([seed, len(shown)]).binomial(shown, share, size=(samples, len(shown)))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(100 * (drawn / shown).mean(axis=1), [tail, 100 - tail])
    return Interval(float(100 * share.mean()), float(low), float(high))


def resampled(
    measure: Callable[[Indices | None], float], items: int, *, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """A number that is not a mean, with its bias-corrected bootstrap interval (Efron 1981).

    The correction matters where the number has a maximum in it, as interpolated precision has: such a number
    rises when pictures repeat, and the plain percentiles would rise with it.

    Args:
        measure: from how often each item stands, int64 [items]; None for once each. Draws that it refuses,
            such as those without a positive, are left out.
        items: how many there are.
        samples, seed: of the bootstrap.
    """
    value = measure(None)
    rng = np.random.default_rng([seed, items])
    values = []
    for _ in range(samples):
        weights = np.bincount(rng.integers(0, items, items), minlength=items)
        try:
            values.append(measure(weights))
        except SourceError:
            continue
    drawn = np.array(values or [value])
    below = float(np.mean(drawn < value) + np.mean(drawn == value) / 2)
    shift = 2 * ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    tail = ndtri((1 - CONFIDENCE) / 2)
    low, high = np.percentile(drawn, [100 * ndtr(shift + tail), 100 * ndtr(shift - tail)])
    return Interval(value, min(float(low), value), max(float(high), value))
