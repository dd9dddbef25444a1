"""Lines and histograms as inline SVG. Only numbers stand inside; words stand around it, as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from cnclip.evaluation.chapters.axes import Axis, rounded_ends, short_number
from cnclip.evaluation.chapters.blocks import Curves, Histogram, Point
from cnclip.evaluation.chapters.markup import escaped, plain

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 22, 26
COLOURS = 7  # classes `s0` … of the style sheet; the same ones again after them, with dashes
_BETWEEN_MARKS = 36  # pixels along the x axis


def curves_svg(chart: Curves) -> str:
    """The lines over their axes; each has its colour, its marks' shape, and dashes after the seventh."""
    points = [point for series in chart.series.values() for point in series]
    if not points:
        return ""
    xs = [x for x, _ in points]
    ends = (min(xs), max(xs)) if chart.log_x else rounded_ends(xs)
    x, y = _plane(ends, rounded_ends([value for _, value in points]), log_x=chart.log_x and ends[0] < ends[1])
    parts = [*_grid(x, y)]
    for place, (name, series) in enumerate(chart.series.items()):
        label = chart.names[name].both if name in chart.names else name
        parts += _line(series, (x, y), "base" if name == chart.baseline else place, label)
    return _svg(chart.title.both, describe_curves(chart), parts)


def histogram_svg(chart: Histogram) -> str:
    """One outline per series, light within; marks are dashed upright lines with their number at the top."""
    shares = [share for _, values in chart.series for share in values]
    if not shares:
        return ""
    ends = [*chart.edges, *(value for value, _ in chart.marks)]
    x, y = _plane((min(ends), max(ends)), rounded_ends([0.0, *shares, 1.0]))
    parts = [*_grid(x, y)]
    for place, (name, values) in enumerate(chart.series):
        parts += _outline(chart.edges, values, (x, y), place, name.both)
    for number, (value, what) in enumerate(chart.marks, 1):
        parts += _mark(x.pixel(value), number, f"{what.both}: {short_number(value)}")
    return _svg(chart.title.both, describe_histogram(chart), parts)


def outline_swatch(place: int) -> str:
    """A histogram's outline, for the legend."""
    kind = f"swatch outline {series_class(place)}"
    box = '<rect x="4" y="2" width="20" height="10"/>'
    return f'<svg class="{kind}" viewBox="0 0 28 14" aria-hidden="true">{box}</svg>'


def swatch(place: int, is_baseline: bool = False) -> str:
    """A series' line and mark, for the legend."""
    kind, mark = series_class(place), f'<path class="dot" d="{_shape(place, 14, 7)}"/>'
    if is_baseline:
        kind, mark = "base", ""
    return (
        f'<svg class="swatch {kind}" viewBox="0 0 28 14" aria-hidden="true">'
        f'<path class="line" d="M0 7H28"/>{mark}</svg>'
    )


def series_class(place: int) -> str:
    """Style classes of series number `place`."""
    return f"s{place % COLOURS}" + (" again" if place >= COLOURS else "")


def describe_curves(chart: Curves) -> str:
    """The ends of each line in words, for those who do not see it."""
    parts = []
    for name, series in chart.series.items():
        if series:
            label = chart.names[name].both if name in chart.names else name
            ends = [f"{short_number(y)} ({short_number(x)})" for x, y in (series[0], series[-1])]
            parts.append(f"{label}: {' → '.join(ends)}")
    return "; ".join(parts)


def describe_histogram(chart: Histogram) -> str:
    """Where each outline is highest, and the marks."""
    parts = []
    for name, values in chart.series:
        if len(values):
            best = max(range(len(values)), key=values.__getitem__)
            bin_ends = f"{short_number(chart.edges[best])}–{short_number(chart.edges[best + 1])}"
            parts.append(f"{name.both}: {short_number(values[best])} % ({bin_ends})")
    return "; ".join([*parts, *(f"{what.both}: {short_number(value)}" for value, what in chart.marks)])


def _plane(x_ends: tuple[float, float], y_ends: tuple[float, float], *, log_x: bool = False) -> list[Axis]:
    low, high = x_ends
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [
        Axis(low, high, LEFT, WIDTH - RIGHT, log_x),
        Axis(*y_ends, HEIGHT - BOTTOM, TOP),
    ]


def _svg(title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(title)}">'
        f"<desc>{escaped(description)}</desc>{''.join(parts)}</svg>"
    )


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for value in y.ticks():
        place = y.pixel(value)
        yield f'<path class="rule" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text text-anchor="end" x="{LEFT - 8}" y="{place + 4:.1f}">{value:g}</text>'
    for value in x.ticks():
        place = x.pixel(value)
        yield f'<path class="rule" d="M{place:.1f} {HEIGHT - BOTTOM}v5"/>'
        yield f'<text text-anchor="middle" x="{place:.1f}" y="{HEIGHT - 6}">{value:g}</text>'


def _line(
    series: Sequence[Point], plane: Sequence[Axis], place: int | Literal["base"], label: str
) -> Iterator[str]:
    x, y = plane
    spots = [(x.pixel(a), y.pixel(b)) for a, b in series]
    if not spots:
        return
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in spots)
    if place == "base":
        yield f'<path class="line base" d="M{path}"><title>{escaped(label)}</title></path>'
        return
    yield f'<g class="{series_class(place)}"><path class="line" d="M{path}"/>'
    last = -float("inf")
    for (across, up), spot in zip(series, spots, strict=True):
        if spot[0] - last >= _BETWEEN_MARKS:
            last = spot[0]
            said = f"{label}: {short_number(across)} → {short_number(up)}"
            yield f'<path class="dot" d="{_shape(place, *spot)}"><title>{escaped(said)}</title></path>'
    yield "</g>"


def _outline(
    edges: Sequence[float], shares: Sequence[float], plane: Sequence[Axis], place: int, label: str
) -> Iterator[str]:
    x, y = plane
    floor = y.pixel(0)
    path = f"M{x.pixel(edges[0]):.1f} {floor:.1f}"
    for right, share in zip(edges[1:], shares, strict=True):
        path += f"V{y.pixel(share):.1f}H{x.pixel(right):.1f}"
    yield (
        f'<path class="outline {series_class(place)}" d="{path}V{floor:.1f}">'
        f"<title>{plain(label)}</title></path>"
    )


def _mark(place: float, number: int, label: str) -> Iterator[str]:
    middle = min(max(place, LEFT + 8), WIDTH - RIGHT - 8)
    line = f"M{place:.1f} {TOP}V{HEIGHT - BOTTOM}"
    yield f'<g class="mark"><path d="{line}"><title>{escaped(label)}</title></path>'
    yield f'<circle cx="{middle:.1f}" cy="11" r="9"/>'
    yield f'<text text-anchor="middle" x="{middle:.1f}" y="15">{number}</text></g>'


def _shape(place: int, x: float, y: float) -> str:
    """A circle, square, triangle or diamond of about the same size around a point."""
    kind, radius = place % 4, 3.5
    if kind == 0:
        half = f"a{radius} {radius} 0 1 0"
        return f"M{x - radius:.1f} {y:.1f}{half} {2 * radius} 0{half} {-2 * radius} 0z"
    if kind == 1:
        return f"M{x - 3:.1f} {y - 3:.1f}h6v6h-6z"
    if kind == 2:
        return f"M{x:.1f} {y - 4.5:.1f}l4 7h-8z"
    return f"M{x:.1f} {y - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5z"
