"""Accuracy over the number of shots, beside zero-shot: the picture of CLIP's figure 6 for one's own classes.

Radford et al. 2021, section 3.1.5 and figures 6 and 8: every method at 1, 2, 4, 8, 16 labelled pictures per
class, and by log-linear interpolation the number of shots at which a linear probe equals zero-shot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnclip.errors import CnclipError, SourceError
from cnclip.evaluation.probe.methods import Method, Name
from cnclip.evaluation.probe.outcome import Curve, Point, Run, ShotCount, Skipped, ZeroShotLine
from cnclip.evaluation.probe.shots import Shots, draw_shots, most_shots
from cnclip.evaluation.probe.task import FewShotTask, LabelledSet, TextSide
from cnclip.evaluation.rows import Indices, Scores
from cnclip.evaluation.statistics import intervals, paired_difference
from cnclip.evaluation.zeroshot import classify


@dataclass(frozen=True)
class ProbeData:
    """What the curve is drawn from.

    Attributes:
        pool: pictures to draw shots from.
        test: pictures to name.
        names: C class names.
    """

    pool: LabelledSet
    test: LabelledSet
    names: list[str]


def draw_curve(
    data: ProbeData,
    text: TextSide,
    methods: Mapping[Name, Method],
    shots: Sequence[ShotCount],
    seeds: Sequence[int],
    *,
    advance: Callable[[], None] = lambda: None,
) -> Curve:
    """Run every method at every number of shots with every seed.

    Args:
        data: pictures to learn from and to test on.
        text: the zero-shot classifier.
        methods: see `method_functions`.
        shots: per class, ascending, None last.
        seeds: of draws and methods.
        advance: called after each run.

    Raises:
        SourceError: no pictures to learn from or to test on.
    """
    if not len(data.pool) or not len(data.test):
        side = "learn from" if not len(data.pool) else "test on"
        raise SourceError(f"no pictures to {side}", fix="--test-share 0.5, or more pictures")
    zero_shot = zero_shot_line(data, text)
    possible, skipped = _possible(shots, most_shots(data.pool.labels), methods)
    points: list[Point] = []
    short: dict[int, int] = {}
    for count in possible:
        draws = {seed: draw_shots(data.pool.labels, count, seed) for seed in seeds}
        behind = max(len(draw.short) for draw in draws.values())
        if count is not None and behind:
            short[count] = behind
        for name, method in methods.items():
            try:
                runs, correct = _runs(data, method, draws, refit=count is None, advance=advance)
            except CnclipError as error:
                skipped.append(Skipped(name, count, error.what))
                continue
            span, change = intervals(correct[:, None])[0], paired_difference(zero_shot.correct, correct)
            points.append(Point(name, count, runs, correct, span, change))
    order = list(methods)
    points.sort(key=lambda point: order.index(point.method))
    return Curve(zero_shot, points, skipped, short)


def zero_shot_line(data: ProbeData, text: TextSide) -> ZeroShotLine:
    """Zero-shot accuracy on the test pictures."""
    result = classify(data.test.rows, text.classifier, data.test.labels, data.names)
    right = np.where(result.ranks == 1, 100.0, 0.0)
    return ZeroShotLine(result.top1, result.mean_per_class, right, intervals(right[:, None])[0])


def _possible(
    shots: Sequence[ShotCount], largest: int, methods: Mapping[Name, Method]
) -> tuple[list[ShotCount], list[Skipped]]:
    """Numbers of shots that differ from the one before, and the others with a reason."""
    possible: list[ShotCount] = []
    skipped: list[Skipped] = []
    for count in shots:
        if count is not None and any(before is not None and before >= largest for before in possible):
            reason = f"每类最多 {largest} 张可学 no class has more than {largest} pictures to learn from"
            skipped += [Skipped(name, count, reason) for name in methods]
        else:
            possible.append(count)
    return possible, skipped


def _runs(
    data: ProbeData,
    method: Method,
    draws: Mapping[int, Shots],
    *,
    refit: bool,
    advance: Callable[[], None],
) -> tuple[list[Run], Scores]:
    """One run per seed, and the percent of them that name each test picture rightly."""
    runs: list[Run] = []
    correct = np.zeros(len(data.test))
    for seed, draw in draws.items():
        task = FewShotTask(
            train=data.pool.take(draw.train),
            valid=data.pool.take(draw.valid),
            test_rows=data.test.rows,
            class_count=len(data.names),
            seed=seed,
            refit=refit,
        )
        start = time.perf_counter()
        answer = method(task)
        seconds = round(time.perf_counter() - start, 3)
        right = answer.predictions == data.test.labels
        correct += 100 * right / len(draws)
        runs.append(
            Run(
                seed=seed,
                top1=float(100 * right.mean()),
                mean_per_class=_mean_per_class(right, data.test.labels),
                settings=answer.settings,
                seconds=seconds,
            )
        )
        advance()
    return runs, correct


def _mean_per_class(right: npt.NDArray[np.bool_], labels: Indices) -> float:
    """Percent; classes without test pictures left out."""
    counts = np.bincount(labels)
    shares = np.bincount(labels, weights=right)[counts > 0] / counts[counts > 0]
    return float(100 * shares.mean())
