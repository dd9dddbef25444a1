"""What a few-shot curve holds: runs, points, the zero-shot line, and what could not be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cnclip.evaluation.probe.methods import Name
from cnclip.evaluation.rows import Scores
from cnclip.evaluation.statistics import Difference, Interval

ShotCount = int | None  # None = all pictures of the pool


@dataclass(frozen=True)
class Run:
    """One method, one number of shots, one seed; accuracies in percent.

    Attributes:
        seed: of the draw and the method.
        top1: share of test pictures named rightly.
        mean_per_class: mean over the classes' shares.
        settings: what the method chose.
        seconds: wall clock of learning and answering.
    """

    seed: int
    top1: float
    mean_per_class: float
    settings: Mapping[str, float | int | str]
    seconds: float


@dataclass(frozen=True)
class Point:
    """One method at one number of shots.

    Attributes:
        method: its name.
        shots: per class; None = all.
        runs: one per seed.
        correct: float64 [M], percent of the runs that name each test picture rightly.
        interval: of the mean over test pictures, 95 %.
        over_zero_shot: zero-shot against this, paired by picture; positive where this is better.
    """

    method: Name
    shots: ShotCount
    runs: list[Run]
    correct: Scores
    interval: Interval
    over_zero_shot: Difference

    @property
    def mean(self) -> float:
        """Top-1 accuracy, percent, mean over the seeds."""
        return float(np.mean([run.top1 for run in self.runs]))

    @property
    def spread(self) -> float:
        """Sample standard deviation over the seeds, percentage points; 0 for one seed."""
        return float(np.std([run.top1 for run in self.runs], ddof=1)) if len(self.runs) > 1 else 0.0


@dataclass(frozen=True)
class ZeroShotLine:
    """The same test pictures without any training.

    Attributes:
        top1: percent.
        mean_per_class: percent.
        correct: float64 [M], 100 where the class is right, else 0.
        interval: of top1, 95 %.
    """

    top1: float
    mean_per_class: float
    correct: Scores
    interval: Interval


@dataclass(frozen=True)
class Skipped:
    """What could not be run, and why."""

    method: str
    shots: ShotCount
    reason: str


@dataclass(frozen=True)
class Curve:
    """All of it.

    Attributes:
        zero_shot: the horizontal line.
        points: by method, then by shots.
        skipped: what could not be run.
        short: number of shots -> classes that have fewer, most over the seeds.
    """

    zero_shot: ZeroShotLine
    points: list[Point]
    skipped: list[Skipped] = field(default_factory=list)
    short: dict[int, int] = field(default_factory=dict)

    def of(self, method: Name) -> list[Point]:
        """One method's points in the order of shots, all last."""
        return [point for point in self.points if point.method == method]
