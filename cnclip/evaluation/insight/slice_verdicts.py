"""Whether a slice is worse or better than the rest, when many slices are asked about at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from cnclip.evaluation.insight.slice_statistics import DIFFERENCE, SliceNumbers
from cnclip.evaluation.rows import Scores
from cnclip.evaluation.statistics import CONFIDENCE

Verdict = Literal["worse", "better", "same", "few"]
LEVEL = 1 - CONFIDENCE


def verdicts(numbers: SliceNumbers, corrected: Scores) -> list[Verdict]:
    """In a word: few; or by the corrected p-value, which the interval of the difference must not contradict.

    Args:
        numbers: of S slices.
        corrected: float64 [S], NaN for those that have too few queries.
    """
    said: list[Verdict] = []
    apart, spans = numbers.means[DIFFERENCE], numbers.spans[DIFFERENCE]
    for difference, p, (low, high) in zip(apart, corrected, spans, strict=True):
        if np.isnan(p):
            said.append("few")
        elif p >= LEVEL or low <= 0 <= high:
            said.append("same")
        else:
            said.append("worse" if difference < 0 else "better")
    return said


def holm(p: Scores) -> Scores:
    """p-values such that the chance of even one false verdict stays at the level (Holm 1979).

    Args:
        p: float64 [S]; NaN is no test, and stays.
    """
    return _corrected(p, lambda ordered: np.maximum.accumulate(ordered * np.arange(len(ordered), 0, -1)))


def benjamini_hochberg(p: Scores) -> Scores:
    """p-values such that the expected share of false verdicts stays at the level (Benjamini, Hochberg 1995).

    Args:
        p: float64 [S]; NaN is no test, and stays.
    """
    return _corrected(
        p,
        lambda ordered: np.minimum.accumulate(
            (ordered * len(ordered) / np.arange(1, len(ordered) + 1))[::-1]
        )[::-1],
    )


def _corrected(p: Scores, adjust: Callable[[Scores], Scores]) -> Scores:
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected[order] = np.minimum(1.0, adjust(p[order]))
    return corrected
