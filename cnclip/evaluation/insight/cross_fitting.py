"""A threshold chosen by all captions, with figures from captions that did not choose it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.calibration import halves
from cnclip.evaluation.insight.modality import plain_number
from cnclip.evaluation.insight.operating_point import (
    NOTHING,
    Answers,
    Figures,
    Rule,
    figures_at,
    intervals_at,
    sweep,
)
from cnclip.evaluation.rows import Indices
from cnclip.evaluation.statistics import Interval
from cnclip.evaluation.uncertainty import Draws


@dataclass(frozen=True)
class Operating:
    """A threshold and what it gives.

    Attributes:
        threshold: cosine similarity; infinity shows nothing.
        chosen_by_halves: what each half of the captions chose by the same rule.
        figures: cross-fitted: each half judged by the other half's threshold.
        intervals: of the figures, by name; none where no samples are drawn.
    """

    threshold: float
    chosen_by_halves: tuple[float, float]
    figures: Figures
    intervals: dict[str, Interval]

    @property
    def useful(self) -> bool:
        """Whether it does better than to show nothing at all, whose balance is 50."""
        sure = self.intervals.get("balance")
        return self.threshold < NOTHING and (sure.low if sure else self.figures.balance) > 50

    def to_json(self) -> dict[str, Any]:
        """For results.json; a threshold that shows nothing is null."""
        return {
            "threshold": _finite(self.threshold),
            "chosen_by_halves": [_finite(value) for value in self.chosen_by_halves],
            "figures": {name: plain_number(value, 3) for name, value in asdict(self.figures).items()},
            "intervals": {
                name: [round(one.low, 3), round(one.high, 3)] for name, one in self.intervals.items()
            },
            "useful": self.useful,
        }


def operate(answers: Answers, rule: Rule, ids: Sequence[str], draws: Draws) -> Operating | None:
    """Choose a threshold and measure it on captions that did not choose it.

    Args:
        answers: Q captions, of two groups at least.
        rule: chooses a threshold.
        ids: Q names of the captions; they decide the halves.
        draws: of the intervals.

    Returns:
        None where the rule finds nothing, in all captions or in one half of them.
    """
    threshold = rule(sweep(answers))
    half = halves_of_groups(answers.groups, ids)
    chosen = [rule(sweep(answers.of(np.flatnonzero(half == number)))) for number in (0, 1)]
    if threshold is None or chosen[0] is None or chosen[1] is None:
        return None
    of_others = np.array([chosen[1], chosen[0]])[half]
    return Operating(
        threshold=threshold,
        chosen_by_halves=(chosen[0], chosen[1]),
        figures=figures_at(answers, of_others),
        intervals=intervals_at(answers, of_others, draws),
    )


def halves_of_groups(groups: Indices, ids: Sequence[str]) -> Indices:
    """0 or 1 for each caption, the same within a group, whatever the order of the captions: int64 [Q].

    A group goes by the least of its captions' names.

    Raises:
        SourceError: fewer than two groups.
    """
    names: dict[int, str] = {}
    for group, name in zip(groups.tolist(), ids, strict=True):
        names[group] = min(name, names.get(group, name))
    first, _ = halves(list(names.values()))
    numbers = np.array(list(names))
    return np.where(np.isin(groups, numbers[first]), 0, 1)


def _finite(threshold: float) -> float | None:
    return None if threshold == NOTHING else round(threshold, 6)
