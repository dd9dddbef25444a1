"""At how many shots a method equals zero-shot, as a number and in words.

Radford et al. 2021, section 3.1.5 and figure 8: the number of labelled pictures per class that a linear probe
needs to match zero-shot, estimated by log-linear interpolation between the measured numbers of shots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnclip.evaluation.probe.methods import TITLES, Name
from cnclip.evaluation.probe.outcome import Curve, Point


def shots_to_match(shots: Sequence[int], accuracies: Sequence[float], target: float) -> float | None:
    """The first crossing of a target from below, linear in the logarithm of the shots.

    Args:
        shots: measured numbers of shots, ascending.
        accuracies: as many, percent.
        target: percent.

    Returns:
        a number of shots; the first one where it is reached at once (fewer may do); None where never.
    """
    for place, (count, accuracy) in enumerate(zip(shots, accuracies, strict=True)):
        if accuracy < target:
            continue
        if place == 0:
            return float(count)
        before, low = shots[place - 1], accuracies[place - 1]
        share = (target - low) / (accuracy - low)
        return float(2 ** (math.log2(before) + share * math.log2(count / before)))
    return None


def verdict(curve: Curve, method: Name = "linear") -> str:
    """Chinese and English: at how many shots a method passes zero-shot, and how sure that is."""
    points = [point for point in curve.of(method) if point.shots is not None]
    name = TITLES[method]
    if not points:
        return f"{name}：没有测 not measured"
    counts = [point.shots or 0 for point in points]
    target = curve.zero_shot.top1
    match = shots_to_match(counts, [point.mean for point in points], target)
    if match is None:
        last = points[-1]
        return (
            f"{name}：到每类 {last.shots} 张仍不及零样本 stays below zero-shot up to {_shots(counts[-1])}"
            f" ({last.mean:.1f} < {target:.1f})"
        )
    passing = next(point for point in points if point.mean >= target)
    return f"{name}：{_where(counts, match, passing)}{_surety(points, passing, target)}"


def _where(counts: list[int], match: float, passing: Point) -> str:
    if passing.shots == counts[0]:
        return (
            f"每类 {counts[0]} 张就已赶上零样本 equals or passes zero-shot at {_shots(counts[0])} already"
            f" ({passing.mean:.1f})"
        )
    before = counts[counts.index(passing.shots or 0) - 1]
    return (
        f"每类约 {match:.1f} 张时赶上零样本 passes zero-shot at about {match:.1f} shots per class,"
        f" between {before} and {passing.shots} ({passing.mean:.1f})"
    )


def _surety(points: list[Point], passing: Point, target: float) -> str:
    """How many seeds agree, and from where on every seed does and the test set's noise is passed too."""
    agreeing = sum(run.top1 >= target for run in passing.runs)
    said = f"；{len(passing.runs)} 个种子中 {agreeing} 个如此 in {agreeing} of {len(passing.runs)} seeds"
    sure: int | None = None
    for point in reversed(points):
        change = point.over_zero_shot
        if not change.differs or change.interval.low <= 0 or any(run.top1 <= target for run in point.runs):
            break
        sure = point.shots
    if sure is None:
        return said + "；差别还不可靠 not yet a reliable difference"
    return said + f"；自 {sure} 张起差别可靠 reliably better from {_shots(sure)} on"


def _shots(count: int) -> str:
    return "1 shot" if count == 1 else f"{count} shots"
