"""What was found of each slice: recalls, the difference to all other queries, a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.slice_making import Looked, Slice
from cnclip.evaluation.insight.slice_statistics import (
    DIFFERENCE,
    METRICS,
    Outcomes,
    SliceNumbers,
    measure_slices,
    members_of,
)
from cnclip.evaluation.insight.slice_verdicts import Verdict, holm, verdicts
from cnclip.evaluation.rows import Scores
from cnclip.evaluation.statistics import intervals
from cnclip.evaluation.uncertainty import Draws

Span = tuple[float, float]


@dataclass(frozen=True)
class SliceResult:
    """What was found of one slice; recalls in percent.

    Attributes:
        family, key, shown, exact: see Slice.
        queries, groups: how many, and of how many pictures.
        r1, r10, mean_recall: mean recall is that of R@1, R@5 and R@10.
        median_rank: of the best correct item; NaN where it was not asked for.
        difference: percentage points of mean recall, the slice minus all other queries.
        margin: what chance alone explains of it, in 95 of 100 such slices; NaN where there are too few.
        spans: r1, r10, mean_recall, difference -> 95 % interval; nothing without draws or of too few queries.
        p, corrected: chance of such a difference if the slice is not special, before and after the correction
            for many slices; NaN where there are too few.
        verdict: on mean recall, by the corrected p-value.
    """

    family: str
    key: str
    shown: Words
    exact: bool
    queries: int
    groups: int
    r1: float
    r10: float
    mean_recall: float
    median_rank: float
    difference: float
    margin: float
    spans: Mapping[str, Span]
    p: float
    corrected: float
    verdict: Verdict

    @property
    def name(self) -> str:
        """family/key."""
        return f"{self.family}/{self.key}"

    def to_json(self) -> dict[str, Any]:
        """For results.json: null where there is no number."""
        names = (
            "queries",
            "groups",
            "r1",
            "r10",
            "mean_recall",
            "median_rank",
            "difference",
            "p",
            "corrected",
        )
        value: dict[str, Any] = {"family": self.family, "key": self.key}
        value |= {"shown": {"zh": self.shown.zh, "en": self.shown.en}, "exact": self.exact}
        value |= {name: _number(getattr(self, name)) for name in names}
        spans = {name: [_number(low), _number(high)] for name, (low, high) in self.spans.items()}
        return {**value, "intervals": spans, "verdict": self.verdict}


@dataclass(frozen=True)
class Overall:
    """All queries of a direction, in the terms of SliceResult."""

    queries: int
    groups: int
    r1: float
    r10: float
    mean_recall: float
    median_rank: float
    spans: Mapping[str, Span] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        numbers = {name: _number(getattr(self, name)) for name in (*METRICS, "median_rank")}
        spans = {name: [_number(low), _number(high)] for name, (low, high) in self.spans.items()}
        return {"queries": self.queries, "groups": self.groups, **numbers, "intervals": spans}


@dataclass(frozen=True)
class SlicedDirection:
    """The slices of one direction.

    Attributes:
        overall: of the queries that were looked at.
        asked: labelled queries of the run; more than overall.queries where a sample was looked at.
        slices: by family, in order; the p-values of all of them are corrected together (Holm).
        alike: "family/key" -> what all queries have in common; it makes no slice.
    """

    overall: Overall
    asked: int
    slices: Sequence[SliceResult]
    alike: Mapping[str, Words]

    @property
    def tests(self) -> int:
        """Slices with enough queries for a verdict."""
        return sum(one.verdict != "few" for one in self.slices)

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "overall": self.overall.to_json(),
            "asked": self.asked,
            "tests": self.tests,
            "correction": "Holm",
            "slices": [one.to_json() for one in self.slices],
            "alike": {name: {"zh": kind.zh, "en": kind.en} for name, kind in self.alike.items()},
        }


def judge_slices(
    looked: Sequence[Looked], outcomes: Outcomes, draws: Draws, *, asked: int
) -> SlicedDirection:
    """Measure the slices of a direction and correct their p-values together.

    A slice that holds every query that was looked at says nothing, and becomes `alike`.

    Args:
        looked: slices with the queries they are among.
        outcomes: of all Q queries.
        draws: of the intervals; 0 samples make none.
        asked: queries of the run, of which the Q may be a sample.
    """
    kept: list[Slice] = []
    parts: list[SliceNumbers] = []
    medians: list[float] = []
    alike: dict[str, Words] = {}
    for part in looked:
        own = outcomes.of(part.queries)
        slices = [one for one in part.slices if one.members[part.queries].any()]
        alike |= {one.name: one.shown for one in slices if one.members[part.queries].all()}
        slices = [one for one in slices if one.name not in alike]
        masks = [one.members[part.queries] for one in slices]
        if slices:
            parts.append(measure_slices(members_of(masks, len(own.ranks)), own, draws))
            medians += [float(np.median(own.ranks[mask])) for mask in masks]
            kept += slices
    corrected = holm(np.concatenate([part.p for part in parts])) if parts else np.empty(0)
    results: list[SliceResult] = []
    for numbers in parts:
        chosen = slice(len(results), len(results) + len(numbers.p))
        results += slice_results(kept[chosen], numbers, corrected[chosen], medians[chosen])
    return SlicedDirection(overall_numbers(outcomes, draws), asked, results, alike)


def slice_results(
    slices: Sequence[Slice], numbers: SliceNumbers, corrected: Scores, medians: Sequence[float]
) -> list[SliceResult]:
    """The numbers of S slices, one result each.

    Args:
        slices: S; their members are not looked at.
        numbers: of measure_slices.
        corrected: float64 [S] p-values.
        medians: S median ranks.
    """
    said = verdicts(numbers, corrected)
    results = []
    for place, one in enumerate(slices):
        spans = {name: (float(span[place][0]), float(span[place][1])) for name, span in numbers.spans.items()}
        results.append(
            SliceResult(
                one.family,
                one.key,
                one.shown,
                one.exact,
                queries=int(numbers.queries[place]),
                groups=int(numbers.groups[place]),
                **{name: float(numbers.means[name][place]) for name in (*METRICS, DIFFERENCE)},
                median_rank=medians[place],
                margin=float(numbers.margin[place]),
                spans={name: span for name, span in spans.items() if not np.isnan(span).any()},
                p=float(numbers.p[place]),
                corrected=float(corrected[place]),
                verdict=said[place],
            )
        )
    return results


def overall_numbers(outcomes: Outcomes, draws: Draws) -> Overall:
    """Recalls of all queries."""
    values = outcomes.values()
    spans: dict[str, Span] = {}
    if draws.samples:
        found = intervals(values, groups=outcomes.groups, samples=draws.samples, seed=draws.seed)
        spans = {name: (one.low, one.high) for name, one in zip(METRICS, found, strict=True)}
    r1, r10, mean_recall = (float(mean) for mean in values.mean(axis=0))
    groups = len(np.unique(outcomes.groups))
    return Overall(len(values), groups, r1, r10, mean_recall, float(np.median(outcomes.ranks)), spans)


def _number(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else float(f"{value:.6g}")
