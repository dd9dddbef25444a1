"""When to answer "nothing found": the score below which a search shows no picture, and what that costs.

Each labelled caption is asked twice. Once as it is: the search shows the first picture if its score is at
least t. Once with its correct pictures taken out of the gallery: whatever is still shown is wrong. Of
captions as they are,

    precision   first pictures that are right, among those that are shown
    recall      captions whose right picture is shown at first, among all of them

and of captions without their pictures, rejection is the share for which nothing is shown. Half of each make
the mixed setting: its precision counts what is wrongly shown to captions without an answer too. A first
picture is right where its score is above that of every wrong picture; ties count against the model.

A threshold fits best the captions that chose it. So every figure is cross-fitted: the captions are parted in
two halves, all captions of a picture in the same, and each half is judged by the threshold that the other
half chose. The threshold that is suggested comes from all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.insight.cross_fitting import Operating, operate
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.gallery_size import BySize, find_by_size
from cnclip.evaluation.insight.modality import plain_number
from cnclip.evaluation.insight.neighbours import FEWEST, Found, Neighbours
from cnclip.evaluation.insight.operating_point import (
    Answers,
    Figures,
    Setting,
    Sweep,
    best_balance,
    lowest_with_precision,
    sweep,
)
from cnclip.evaluation.insight.scores import ScoreSpreads, find_spreads
from cnclip.evaluation.retrieval import DirectionResult
from cnclip.evaluation.rows import Indices

GOALS = (80, 90, 95)
SETTINGS: tuple[Setting, ...] = ("as they are", "half without")
_CURVE_POINTS = 60
_RECALL_STEP = 2  # percent


@dataclass(frozen=True)
class Goal:
    """A precision that is asked for; `reached` is None where no threshold gives it, or only in one half."""

    precision: int
    setting: Setting
    reached: Operating | None


@dataclass(frozen=True)
class CurvePoint:
    """A threshold with what it gives to the captions that are there; nothing is held out."""

    threshold: float
    figures: Figures


@dataclass(frozen=True)
class AtRecall:
    """The highest threshold that reaches a recall, and the precisions there, percent; nothing is held out."""

    recall: int
    threshold: float
    precision: float
    mixed_precision: float


@dataclass(frozen=True)
class ThresholdFindings:
    """Text to image.

    Attributes:
        captions: labelled ones; each is asked with and without its correct pictures.
        groups: of captions that belong together.
        gallery: pictures.
        first_right: captions whose first picture is right, percent: the largest possible recall.
        suggested: by the largest balance of recall and rejection; None where there are too few captions.
        goals: the lowest thresholds with a precision of 80, 90, 95 %, for both settings.
        curve: figures at up to sixty thresholds, ascending, as far as FEWEST pictures are shown.
        at_recalls: the precision-recall curve: recall 2, 4 ... percent, as far as it goes.
        spreads: scores of correct and wrong pairs; None where no caption has a wrong picture.
        by_size: best wrong scores in parts of the gallery.
    """

    captions: int
    groups: int
    gallery: int
    first_right: float
    suggested: Operating | None
    goals: tuple[Goal, ...]
    curve: tuple[CurvePoint, ...]
    at_recalls: tuple[AtRecall, ...]
    spreads: ScoreSpreads | None
    by_size: BySize

    def to_json(self) -> dict[str, Any]:
        """For results.json; percent, and cosine similarities."""
        goals = [
            {
                "precision": goal.precision,
                "setting": goal.setting,
                **(goal.reached.to_json() if goal.reached else {"threshold": None}),
            }
            for goal in self.goals
        ]
        return {
            "captions": self.captions,
            "groups": self.groups,
            "gallery": self.gallery,
            "first_right": round(self.first_right, 3),
            "suggested": self.suggested.to_json() if self.suggested else None,
            "goals": goals,
            "curve": [
                {"threshold": round(point.threshold, 6)}
                | {name: plain_number(value, 2) for name, value in asdict(point.figures).items()}
                for point in self.curve
            ],
            "precision_recall": [
                {name: plain_number(value, 6) for name, value in asdict(each).items()}
                for each in self.at_recalls
            ],
            "scores": self.spreads.to_json() if self.spreads else None,
            "gallery_size": self.by_size.to_json(),
        }


def find_threshold(evidence: Evidence, neighbours: Neighbours) -> ThresholdFindings:
    """Suggest a threshold for text to image, and say what it gives."""
    asked, queries = np.flatnonzero(evidence.result.t2i.ranks), evidence.queries["t2i"]
    answers = first_answers(evidence.result.t2i, neighbours.t2i, asked, queries.groups)
    found, counted = sweep(answers), len(np.unique(queries.groups))
    suggested, goals = None, []
    if counted >= FEWEST:
        suggested = operate(answers, best_balance, queries.ids, evidence.draws)
        for setting in SETTINGS:
            for precision in GOALS:
                rule = lowest_with_precision(precision, setting)
                goals.append(Goal(precision, setting, operate(answers, rule, queries.ids, evidence.draws)))
    useful = suggested.threshold if suggested and suggested.useful else None
    rows = (evidence.images.rows, evidence.texts.rows, evidence.positives)
    seed = evidence.draws.seed
    return ThresholdFindings(
        captions=len(asked),
        groups=counted,
        gallery=len(evidence.images.rows),
        first_right=float(100 * answers.right.mean()),
        suggested=suggested,
        goals=tuple(goals),
        curve=_curve(found),
        at_recalls=tuple(_at_recalls(found)),
        spreads=find_spreads(*rows, neighbours.t2i.wrong_scores[asked], seed=seed),
        by_size=find_by_size(*rows, asked, threshold=useful, seed=seed),
    )


def first_answers(direction: DirectionResult, found: Found, asked: Indices, groups: Indices) -> Answers:
    """What is shown first to the labelled captions.

    Args:
        direction: text to image.
        found: the same.
        asked: int64 [Q], the labelled captions.
        groups: int64 [Q], of the captions that belong together.
    """
    correct = direction.scores[asked].astype(np.float64)
    wrong = found.wrong_scores[asked].astype(np.float64)
    without = np.where(np.isnan(wrong), -np.inf, wrong)
    right = direction.ranks[asked] == 1
    return Answers(np.maximum(correct, without), right, without, groups)


def _curve(found: Sweep) -> tuple[CurvePoint, ...]:
    """Thresholds at even steps, from the lowest one that does not show all to where few are shown."""
    least = min(FEWEST, found.captions)  # precision of fewer pictures is noise
    places = np.flatnonzero(found.shown >= least)[1:]
    if not len(places):
        return ()
    some = found.thresholds[places]
    chosen = np.unique(np.searchsorted(some, np.linspace(some[0], some[-1], _CURVE_POINTS)))
    return tuple(CurvePoint(float(some[one]), found.figures(int(places[one]))) for one in chosen)


def _at_recalls(found: Sweep) -> Iterator[AtRecall]:
    for recall in range(_RECALL_STEP, 101, _RECALL_STEP):
        place = found.reaching(recall)
        if place is None:
            return
        figures = found.figures(place)
        yield AtRecall(recall, float(found.thresholds[place]), figures.precision, figures.mixed_precision)
