"""What a zero-shot run found: numbers with intervals, confusions, calibration, pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.calibration import FIXED_SCALE, Calibration, calibrate, log_probabilities
from cnclip.evaluation.class_metrics import (
    Marks,
    MetricName,
    macro_f1_interval,
    mean_average_precision,
    mean_per_class_interval,
    precisions,
    resampled,
    roc_auc,
)
from cnclip.evaluation.classes import name_groups
from cnclip.evaluation.labelled import LabelledRows
from cnclip.evaluation.multilabel import MultiLabelResult
from cnclip.evaluation.rows import Indices, Rows, Scores
from cnclip.evaluation.statistics import Interval, intervals
from cnclip.evaluation.zeroshot import ZeroShotResult

PAIRS = 20
_SHOWN_GROUPS = 8
_SHOWN_WRONG = 6
_SHOWN_RIGHT = 2
_RESAMPLES = 200  # of a metric that is no mean, so that each draw is measured anew


class Confusion(NamedTuple):
    """Pictures of one class taken for another; `share` is of the true class's pictures, percent."""

    true: int
    predicted: int
    images: int
    share: float


class Shown(NamedTuple):
    """A picture for the report: its place, what stands below it, its cosine, whether it was right."""

    place: int
    label: str
    score: float
    correct: bool


@dataclass(frozen=True)
class Namesakes:
    """Classes that share their name, and so their classifier row.

    Attributes:
        classes: how many.
        images: their pictures, none of which counts as recognised.
        top1_shared: top-1 of all pictures if any class of the right name counted as right, percent.
    """

    classes: int
    images: int
    top1_shared: float


@dataclass(frozen=True)
class Findings:
    """One classifier on pictures with one class each.

    Attributes:
        result: the accuracies.
        metric: the data set's own.
        value: of that metric, with its interval, percent.
        spans: "top1", "top5", "mean_per_class", "macro_f1" -> value with its interval, percent.
        precisions: of each class, percent; None where it was never predicted.
        confusions: the most frequent first.
        calibration: None for fewer than two pictures.
        namesakes: None where all names differ.
        groups: (heading, pictures) of the most frequent confusions.
    """

    result: ZeroShotResult
    metric: MetricName
    value: Interval
    spans: dict[str, Interval]
    precisions: list[float | None]
    confusions: list[Confusion]
    calibration: Calibration | None
    namesakes: Namesakes | None
    groups: list[tuple[str, list[Shown]]] = field(repr=False)


def find(
    result: ZeroShotResult, cosines: Rows, data: LabelledRows, metric: MetricName, own_scale: float
) -> Findings:
    """Take everything out of a result and its cosines.

    Args:
        result: of `classify` on the same rows.
        cosines: float32 [N, C].
        data: whose `marks` is None.
        metric: the data set's own.
        own_scale: exp(logit_scale) of the checkpoint.

    Raises:
        SourceError: the metric does not fit the data, such as ROC-AUC for three classes.
    """
    hits: Scores = 100 * np.stack([result.ranks <= 1, result.ranks <= 5], axis=1).astype(np.float64)
    names = [found.name for found in result.classes]
    spans = dict(zip(("top1", "top5"), intervals(hits), strict=True))
    spans["mean_per_class"] = mean_per_class_interval(result.confusion)
    spans["macro_f1"] = macro_f1_interval(data.labels, result.predicted, len(names), samples=_RESAMPLES)
    confusions = most_confused(result.confusion)
    return Findings(
        result=result,
        metric=metric,
        value=_own_metric(metric, spans, cosines, data.labels),
        spans=spans,
        precisions=precisions(result.confusion),
        confusions=confusions,
        calibration=calibrate(cosines, data.labels, data.ids, own_scale) if len(data.ids) > 1 else None,
        namesakes=_namesakes(names, cosines, data.labels, result),
        groups=_confusion_groups(confusions[:_SHOWN_GROUPS], names, cosines, data.labels, result.predicted),
    )


def most_confused(confusion: Indices, most: int = PAIRS) -> list[Confusion]:
    """The pairs (true, predicted) with the most pictures, then the largest share; int64 [C, C] in."""
    images = confusion.sum(axis=1)
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    pairs = [
        Confusion(int(true), int(other), int(wrong[true, other]), 100 * wrong[true, other] / images[true])
        for true, other in np.argwhere(wrong)
    ]
    return sorted(pairs, key=lambda pair: (-pair.images, -pair.share, pair.true, pair.predicted))[:most]


def marked_groups(result: MultiLabelResult, cosines: Rows, marks: Marks) -> list[tuple[str, list[Shown]]]:
    """The pictures that rank highest for a class they do not show, of the classes with the lowest AP."""
    measured = [
        (found.average_precision, number)
        for number, found in enumerate(result.classes)
        if found.average_precision is not None
    ]
    scores = log_probabilities(cosines, FIXED_SCALE)
    groups = []
    for _, number in sorted(measured)[:_SHOWN_GROUPS]:
        false = np.flatnonzero(marks[:, number] == 0)
        worst = false[np.argsort(-scores[false, number], kind="stable")][:_SHOWN_WRONG]
        name = result.classes[number].name
        shown = [Shown(int(i), f"不是 not {name}", float(cosines[i, number]), False) for i in worst]
        groups.append((f"误认作 taken for {name}", shown))
    return groups


def _own_metric(metric: MetricName, spans: dict[str, Interval], cosines: Rows, labels: Indices) -> Interval:
    if metric == "accuracy":
        return spans["top1"]
    if metric == "mean-per-class":
        return spans["mean_per_class"]
    if metric == "roc_auc":
        if cosines.shape[1] != 2:
            raise SourceError(
                f"ROC-AUC is for two classes, not {cosines.shape[1]}",
                fix="--metric accuracy or mean-per-class",
            )
        margin = cosines[:, 1].astype(np.float64) - cosines[:, 0]
        return resampled(lambda weights: roc_auc(margin, labels == 1, weights), len(labels))
    marks: Marks = (labels[:, None] == np.arange(cosines.shape[1])).astype(np.int8)
    scores = log_probabilities(cosines, FIXED_SCALE)
    return resampled(
        lambda weights: mean_average_precision(scores, marks, weights), len(labels), samples=_RESAMPLES
    )


def _namesakes(
    names: Sequence[str], cosines: Rows, labels: Indices, result: ZeroShotResult
) -> Namesakes | None:
    group = name_groups(names)
    repeated = np.bincount(group)[group] > 1
    if not repeated.any():
        return None
    concerned = np.flatnonzero(repeated[labels])
    truth = labels[concerned]
    true_score = cosines[concerned, truth][:, None]
    ahead = (cosines[concerned] >= true_score) & (group[None, :] != group[truth][:, None])
    right = np.count_nonzero(result.ranks <= 1) + np.count_nonzero(~ahead.any(axis=1))
    return Namesakes(int(repeated.sum()), len(concerned), 100 * right / len(labels))


def _confusion_groups(
    pairs: Sequence[Confusion], names: Sequence[str], cosines: Rows, labels: Indices, predicted: Indices
) -> list[tuple[str, list[Shown]]]:
    """For each pair the clearest mistakes, then the surest right pictures of the wrong class."""
    groups = []
    for pair in pairs:
        margin = cosines[:, pair.predicted] - cosines[:, pair.true]
        wrong = np.flatnonzero((labels == pair.true) & (predicted == pair.predicted))
        right = np.flatnonzero((labels == pair.predicted) & (predicted == pair.predicted))
        true, other = names[pair.true], names[pair.predicted]
        shown = [
            Shown(int(i), f"{true} → {other}", float(cosines[i, pair.predicted]), False)
            for i in wrong[np.argsort(-margin[wrong], kind="stable")][:_SHOWN_WRONG]
        ]
        shown += [
            Shown(int(i), f"真的 real: {other}", float(cosines[i, pair.predicted]), True)
            for i in right[np.argsort(-margin[right], kind="stable")][:_SHOWN_RIGHT]
        ]
        groups.append((f"{true} 被认作 taken for {other}: {pair.images} ({pair.share:.0f} %)", shown))
    return groups
