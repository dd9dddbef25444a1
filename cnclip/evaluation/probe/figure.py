"""The curve as inline SVG: accuracy over shots per class, logarithmic; zero-shot as a star and a line.

Colours and shapes part the methods; numbers stand in each mark's title. Nothing runs and nothing is fetched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from cnclip.evaluation.probe.methods import NAMES, TITLES, Name
from cnclip.evaluation.probe.outcome import Curve, Point, ShotCount

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 56, 210, 24, 56
STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
MOST_TICKS = 8
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a7fd1")

STYLE = (
    """
.curve { max-width: 100%; height: auto; font-size: 12px; }
.curve text { fill: var(--ink); } .curve .soft { fill: var(--soft); }
.curve .grid { stroke: var(--line); stroke-width: 1; }
.curve .line { fill: none; stroke: var(--series); stroke-width: 2; }
.curve .bar { stroke: var(--series); stroke-width: 1.5; }
.curve .mark { fill: var(--series); }
.curve .zero { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 6 4; fill: none; }
.curve .star { fill: var(--ink); }
"""
    + "\n".join(f".curve .series{place} {{ --series: {colour}; }}" for place, colour in enumerate(COLOURS))
    + "\n"
)


class _Plane:
    """Numbers of shots and percent to pixels."""

    def __init__(self, shots: Sequence[ShotCount], low: float, high: float) -> None:
        counts = [count for count in shots if count is not None]
        self._first = math.log2(counts[0]) if counts else 0.0
        last = math.log2(counts[-1]) if counts else 0.0
        self._all = last + 1
        self._span = (self._all if None in shots else last) - self._first + 1 or 1.0
        self.low, self.high = low, high

    def x(self, shots: ShotCount) -> float:
        place = (self._all if shots is None else math.log2(shots)) - self._first + 1
        return LEFT + place / self._span * (WIDTH - LEFT - RIGHT)

    def y(self, percent: float) -> float:
        share = (percent - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def curve_svg(curve: Curve) -> str:
    """The whole picture."""
    shots = sorted({point.shots for point in curve.points}, key=lambda count: (count is None, count or 0))
    low, high, step = _axis(curve)
    plane = _Plane(shots, low, high)
    parts = [*_grid(plane, shots, low, high, step), *_zero_shot(curve, plane)]
    drawn = [name for name in NAMES if curve.of(name)]
    for name in drawn:
        parts += _series(curve.of(name), plane, NAMES.index(name))
    parts += _legend(drawn, curve)
    title = "每类图片数与准确率 Accuracy over labelled pictures per class"
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _axis(curve: Curve) -> tuple[float, float, float]:
    """Lowest and highest percent of the axis, and the step between its lines."""
    values = [curve.zero_shot.top1]
    values += [point.mean + sign * point.spread for point in curve.points for sign in (-1, 1)]
    span = max(max(values) - min(values), 1.0)
    step = next((step for step in STEPS if span / step <= MOST_TICKS - 1), STEPS[-1])
    low = max(0.0, math.floor(min(values) / step) * step)
    high = min(100.0, math.ceil(max(values) / step) * step)
    return low, max(high, low + step), step


def _grid(plane: _Plane, shots: Sequence[ShotCount], low: float, high: float, step: float) -> Iterator[str]:
    for place in range(round((high - low) / step) + 1):
        percent = low + place * step
        y = plane.y(percent)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="soft" text-anchor="end" x="{LEFT - 14}" y="{y + 4:.1f}">{percent:g}</text>'
    bottom = HEIGHT - BOTTOM + 18
    yield f'<text class="soft" text-anchor="middle" x="{LEFT}" y="{bottom}">0</text>'
    for count in shots:
        label = "全部 all" if count is None else str(count)
        yield (
            f'<text class="soft" text-anchor="middle" x="{plane.x(count):.1f}" y="{bottom}">{label}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield (
        f'<text text-anchor="middle" x="{middle:.0f}" y="{HEIGHT - 12}">'
        "每类有标签的图片 labelled pictures per class</text>"
    )
    yield f'<text x="{LEFT - 48}" y="{TOP - 10}">top-1 %</text>'


def _zero_shot(curve: Curve, plane: _Plane) -> Iterator[str]:
    y = plane.y(curve.zero_shot.top1)
    title = f"<title>零样本 zero-shot {curve.zero_shot.top1:.1f}</title>"
    yield f'<path class="zero" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}">{title}</path>'
    yield f'<path class="star" d="{_star(LEFT, y, 9)}">{title}</path>'


def _series(points: Sequence[Point], plane: _Plane, place: int) -> Iterator[str]:
    spots = [(plane.x(point.shots), plane.y(point.mean)) for point in points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    yield f'<g class="series{place}"><path class="line" d="M{path}"/>'
    for point, (x, y) in zip(points, spots, strict=True):
        top, bottom = plane.y(point.mean + point.spread), plane.y(point.mean - point.spread)
        if point.spread:
            yield f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
        label = "全部 all" if point.shots is None else point.shots
        yield f'<path class="mark" d="{_shape(place, x, y)}"><title>'
        yield f"{escape(TITLES[point.method])}, {label}: {point.mean:.1f} ± {point.spread:.1f}</title></path>"
    yield "</g>"


def _legend(drawn: Sequence[Name], curve: Curve) -> Iterator[str]:
    """Names in the order of their last points, best first."""
    x = WIDTH - RIGHT + 24
    entries: list[tuple[float, int, str]] = [(curve.zero_shot.top1, -1, "零样本 zero-shot")]
    entries += [(curve.of(name)[-1].mean, NAMES.index(name), TITLES[name]) for name in drawn]
    for row, (accuracy, place, label) in enumerate(sorted(entries, key=lambda entry: -entry[0])):
        y = TOP + 16 + 22 * row
        mark = f'<path class="star" d="{_star(x, y, 7)}"/>'
        if place >= 0:
            mark = f'<g class="series{place}"><path class="mark" d="{_shape(place, x, y)}"/></g>'
        yield f'{mark}<text x="{x + 14}" y="{y + 4}">{escape(label)} {accuracy:.1f}</text>'


def _shape(place: int, x: float, y: float) -> str:
    """A circle, square, triangle or diamond of about the same size around a point."""
    kind, size = place % 4, 4.5
    if kind == 0:
        return f"M{x - size:.1f} {y:.1f}a{size} {size} 0 1 0 {2 * size} 0a{size} {size} 0 1 0 {-2 * size} 0z"
    if kind == 1:
        return f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"
    if kind == 2:
        return f"M{x:.1f} {y - 5.5:.1f}l5 9h-10z"
    return f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"


def _star(x: float, y: float, size: float) -> str:
    angles = [math.pi * (place / 5 - 0.5) for place in range(10)]
    radii = [size if place % 2 == 0 else size * 0.45 for place in range(10)]
    corners = [
        f"{x + radius * math.cos(angle):.1f} {y + radius * math.sin(angle):.1f}"
        for angle, radius in zip(angles, radii, strict=True)
    ]
    return "M" + "L".join(corners) + "z"
