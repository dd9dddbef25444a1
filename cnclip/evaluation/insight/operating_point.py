"""Thresholds on a search's first score: what each of them gives, and the rules that choose one.

See `threshold` for what precision, recall and rejection are. Nothing is shown below a threshold; a score
equal to it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.rows import Indices, Scores
from cnclip.evaluation.statistics import CONFIDENCE, Interval, bootstrap_means
from cnclip.evaluation.uncertainty import Draws

Setting = Literal["as they are", "half without"]
EVERYTHING, NOTHING = -1.0, float("inf")  # the thresholds that show every first picture, and none


@dataclass(frozen=True)
class Answers:
    """What a search would show first to each labelled caption.

    Attributes:
        top: float64 [Q] score of the first picture.
        right: bool [Q] whether it is a correct one.
        without: float64 [Q] score of the first picture once the correct ones are taken out; -infinity where
            none is left.
        groups: int64 [Q]; captions with the same number belong to one picture.
    """

    top: Scores
    right: npt.NDArray[np.bool_]
    without: Scores
    groups: Indices

    def of(self, chosen: Indices) -> Answers:
        """Some of the captions."""
        return Answers(self.top[chosen], self.right[chosen], self.without[chosen], self.groups[chosen])


@dataclass(frozen=True)
class Figures:
    """At one threshold, percent.

    Attributes:
        precision: first pictures that are right, among those that are shown; NaN where nothing is shown.
        recall: captions whose right picture is shown first.
        rejection: captions without their pictures for which nothing is shown.
        balance: mean of recall and rejection: what is answered as it should be where half of the captions
            have an answer.
        mixed_precision: precision where half of the captions have an answer; NaN where nothing is shown.
    """

    precision: float
    recall: float
    rejection: float
    balance: float
    mixed_precision: float


FIGURES = ("precision", "recall", "rejection", "balance", "mixed_precision")


@dataclass(frozen=True)
class Sweep:
    """All thresholds that differ, ascending; the first one shows everything, the last one nothing.

    Attributes:
        thresholds: float64 [C], halfway between two neighbouring scores but for the first and the last.
        shown: int64 [C] captions with a picture shown.
        right: int64 [C] those of them whose picture is right.
        wrongly: int64 [C] captions without their pictures with a picture shown.
        captions: Q.
    """

    thresholds: Scores
    shown: Indices
    right: Indices
    wrongly: Indices
    captions: int

    def figures(self, place: int) -> Figures:
        """At one of the thresholds."""
        counts = (self.shown[place], self.right[place], self.wrongly[place])
        return _figures(np.array(counts, dtype=np.float64)[None] / self.captions)[0]

    def reaching(self, recall: int) -> int | None:
        """The place of the highest threshold with at least so much recall, percent; None where none has."""
        reached = np.flatnonzero(100 * self.right >= recall * self.captions)
        return int(reached[-1]) if len(reached) else None


Rule = Callable[[Sweep], float | None]


def sweep(answers: Answers) -> Sweep:
    """Count at every threshold that makes a difference."""
    right = np.sort(answers.top[answers.right])
    shown, wrongly = np.sort(answers.top), np.sort(answers.without[np.isfinite(answers.without)])
    scores = np.unique(np.concatenate([shown, wrongly]))
    between = np.concatenate([[EVERYTHING], (scores[:-1] + scores[1:]) / 2, [NOTHING]])

    def at_least(values: Scores) -> Indices:
        return np.append(len(values) - np.searchsorted(values, scores), 0).astype(np.int64)

    return Sweep(between, at_least(shown), at_least(right), at_least(wrongly), captions=len(answers.top))


def best_balance(found: Sweep) -> float:
    """The lowest threshold with the largest mean of recall and rejection."""
    return float(found.thresholds[np.argmax(found.right - found.wrongly)])


def lowest_with_precision(goal: int, setting: Setting) -> Rule:
    """The rule: the lowest threshold, so that with the largest recall, whose precision reaches a goal.

    Args:
        goal: percent.
        setting: which precision: captions as they are, or half of them without an answer.

    Returns:
        a rule that gives None where no threshold reaches the goal with FEWEST pictures shown.
    """

    def rule(found: Sweep) -> float | None:
        shown = found.shown + (found.wrongly if setting == "half without" else 0)
        reached = np.flatnonzero((100 * found.right >= goal * shown) & (shown >= FEWEST))
        return float(found.thresholds[reached[0]]) if len(reached) else None

    return rule


def figures_at(answers: Answers, thresholds: float | Scores) -> Figures:
    """What a threshold gives.

    Args:
        answers: Q captions.
        thresholds: one, or float64 [Q] of each caption.
    """
    return _figures(_columns(answers, thresholds).mean(axis=0)[None])[0]


def intervals_at(answers: Answers, thresholds: float | Scores, draws: Draws) -> dict[str, Interval]:
    """The same with 95 % intervals, the captions of a group drawn together; none where no samples are.

    Samples in which nothing is shown have no precision and are left out of its interval.
    """
    if not draws.samples:
        return {}
    columns = _columns(answers, thresholds)
    means = bootstrap_means(columns, groups=answers.groups, samples=draws.samples, seed=draws.seed)
    drawn, value = _figures(means), _figures(columns.mean(axis=0)[None])[0]
    tail = 50 * (1 - CONFIDENCE)
    found = {}
    for name in FIGURES:
        samples = np.array([getattr(one, name) for one in drawn])
        samples = samples[~np.isnan(samples)]
        if len(samples):
            low, high = np.percentile(samples, [tail, 100 - tail])
            found[name] = Interval(getattr(value, name), float(low), float(high))
    return found


def _columns(answers: Answers, thresholds: float | Scores) -> Scores:
    """float64 [Q, 3]: shown, shown and right, wrongly shown without an answer; 1 or 0."""
    shown = answers.top >= thresholds
    columns = [shown, shown & answers.right, answers.without >= thresholds]
    return np.column_stack(columns).astype(np.float64)


def _figures(means: Scores) -> list[Figures]:
    """From shares [M, 3] of captions: shown, shown and right, wrongly shown."""
    shown, right, wrongly = means.T
    with np.errstate(invalid="ignore"):
        precision, mixed = 100 * right / shown, 100 * right / (shown + wrongly)
    recall, rejection = 100 * right, 100 * (1 - wrongly)
    columns = (precision, recall, rejection, (recall + rejection) / 2, mixed)
    return [Figures(*(float(value) for value in line)) for line in zip(*columns, strict=True)]
