"""Horizontal bars with their intervals as inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

from cnclip.evaluation.chapters.axes import Axis, linear_ticks, rounded_ends, short_number
from cnclip.evaluation.chapters.blocks import Bar, Bars, Cell, Words, shown
from cnclip.evaluation.chapters.markup import both_or_one, escaped

WIDTH, TOP, ROW = 860, 28, 28
LEAST_LEFT, MOST_LEFT, LEAST_RIGHT, MOST_RIGHT = 80, 320, 60, 200  # room for labels and figures, pixels


def bars_svg(chart: Bars) -> str:
    """The chart: a bar is red below the origin, green above it, grey where nothing is sure.

    Labels are in both languages where they differ; the page's switch hides one, or sets them below each
    other.
    """
    low, high = chart.ends or _ends(chart)
    labels = [text for bar in chart.bars for text in _texts(bar.label)]
    left = _room(labels, 13, LEAST_LEFT, MOST_LEFT)
    right = _room([bar.shown for bar in chart.bars], 12, LEAST_RIGHT, MOST_RIGHT)
    axis = Axis(low, high, left, WIDTH - right)
    height = TOP + ROW * len(chart.bars) + 8
    parts = [*_axis(axis, chart, height)]
    for number, bar in enumerate(chart.bars):
        parts += _bar(axis, chart.origin, number, bar)
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img"'
        f' aria-label="{escaped(chart.title.both)}"><desc>{escaped(describe_bars(chart))}</desc>'
        f"{''.join(parts)}</svg>"
    )


def describe_bars(chart: Bars) -> str:
    """Every bar's label and figures, for those who do not see it."""
    return "; ".join(f"{shown(bar.label)}: {bar.shown}" for bar in chart.bars)


def _ends(chart: Bars) -> tuple[float, float]:
    values = [chart.origin]
    for bar in chart.bars:
        values += [bar.value, bar.low, bar.high, *([] if bar.mark is None else [bar.mark])]
    return rounded_ends(values)


def _axis(axis: Axis, chart: Bars, height: int) -> Iterator[str]:
    places = {axis.low, chart.origin, axis.high}
    if chart.ends is None:
        room = (axis.high - axis.low) / 20  # figures of two ticks must not touch
        places |= {tick for tick in linear_ticks(axis.low, axis.high) if abs(tick - chart.origin) > room}
        places -= {end for end in (axis.low, axis.high) if 0 < abs(end - chart.origin) <= room}
    for place in sorted(places):
        kind = "origin" if place == chart.origin else "end"
        x = axis.pixel(place)
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height}"/>'
        number = short_number(place)
        yield f'<text class="soft" text-anchor="middle" x="{x:.1f}" y="{TOP - 12}">{number}</text>'


def _bar(axis: Axis, origin: float, number: int, bar: Bar) -> Iterator[str]:
    middle = TOP + ROW * number + ROW / 2
    start, end = sorted((axis.pixel(origin), axis.pixel(bar.value)))
    yield from _label(bar.label, axis.start, middle)
    yield (
        f'<rect class="{_kind(bar, origin)}" x="{start:.1f}" y="{middle - 8:.1f}"'
        f' width="{max(end - start, 1):.1f}" height="16">'
        f"<title>{escaped(f'{shown(bar.label)}: {bar.shown}')}</title></rect>"
    )
    low, high = axis.pixel(bar.low), axis.pixel(bar.high)
    yield f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
    if bar.mark is not None:
        x = axis.pixel(bar.mark)
        yield f'<path d="M{x - 4:.1f} {middle - 4:.1f}l8 8m0 -8l-8 8"/>'
    yield f'<text class="soft" x="{axis.end + 10:.0f}" y="{middle + 4:.1f}">{escaped(bar.shown)}</text>'


def _label(label: Cell, left: float, middle: float) -> Iterator[str]:
    words = Words(label, label) if isinstance(label, str) else label
    for text, language in both_or_one(words):
        kind = f' class="{language} two" lang="{"en" if language == "en" else "zh-CN"}"' if language else ""
        yield f'<text{kind} text-anchor="end" x="{left - 10:.0f}" y="{middle + 4:.1f}">{escaped(text)}</text>'


def _texts(label: Cell) -> list[str]:
    return [label] if isinstance(label, str) else [label.zh, label.en]


def _room(texts: Iterable[str], size: int, least: int, most: int) -> int:
    """Pixels that the longest text takes at a font size, in tens."""
    widths = [sum(1.0 if east_asian_width(sign) in "WF" else 0.58 for sign in text) for text in texts]
    return min(max(10 * round(size * max(widths, default=0) / 10) + 20, least), most)


def _kind(bar: Bar, origin: float) -> str:
    if not bar.trusted or bar.low <= origin <= bar.high:
        return "unsure"
    return "worse" if bar.high < origin else "better"
