"""Horizontal bars with their intervals as inline SVG, and the page that they stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from cnclip.artifacts import atomic_file
from cnclip.evaluation.page import STYLE
from cnclip.pages import html_document
from cnclip.tables import Table

WIDTH, LEFT, RIGHT, TOP, ROW = 860, 300, 150, 28, 26
BAR_STYLE = """
svg.bars { max-width: 100%; height: auto; font-size: 13px; } svg.bars text { fill: var(--ink); }
svg.bars text.soft { fill: var(--soft); font-size: 12px; }
svg.bars .worse { fill: var(--accent); } svg.bars .better { fill: var(--good); }
svg.bars .unsure { fill: var(--soft); opacity: .55; } svg.bars line { stroke: var(--line); }
svg.bars line.origin { stroke: var(--ink); } svg.bars line.span { stroke: var(--ink); stroke-width: 2; }
svg.bars path { fill: none; stroke: var(--ink); stroke-width: 2; }
th, td { padding: .3rem .5rem; white-space: normal; font-size: .85rem; }
"""


@dataclass(frozen=True)
class Bar:
    """One bar, from the origin to its value.

    Attributes:
        label: at its left.
        value, low, high: with the interval.
        shown: the figures at its right.
        mark: a second value, drawn as a cross; None draws none.
        trusted: whether there is enough behind it; grey where not.
    """

    label: str
    value: float
    low: float
    high: float
    shown: str
    mark: float | None = None
    trusted: bool = True


@dataclass(frozen=True)
class BarChart:
    """Bars under one heading.

    Attributes:
        title: the heading.
        bars: from top to bottom.
        origin: where bars begin: no change, or chance.
        low, high: ends of the axis.
        note: one line below.
    """

    title: str
    bars: Sequence[Bar]
    origin: float
    low: float
    high: float
    note: str = ""


def bar_chart_svg(chart: BarChart) -> str:
    """The chart: a bar is red below the origin, green above it, grey where nothing is sure."""
    height = TOP + ROW * len(chart.bars) + 8
    parts = [*_axis(chart, height), *(part for row in enumerate(chart.bars) for part in _bar(chart, *row))]
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img"'
        f' aria-label="{escape(chart.title)}">{"".join(parts)}</svg>'
    )


def write_bar_page(
    path: Path,
    title: str,
    *,
    lines: Sequence[str],
    charts: Sequence[BarChart],
    tables: Sequence[Table],
) -> None:
    """Write a page that opens offline: lines of facts, charts, tables.

    Raises:
        ResourceError: disk full or no permission.
    """
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in lines)]
    for chart in charts:
        body.append(
            f'<h2>{escape(chart.title)}</h2><article><div class="scroll">{bar_chart_svg(chart)}</div>'
        )
        body.append(f"<p>{escape(chart.note)}</p></article>")
    for table in tables:
        body.append(f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead>')
        body.append(_row(table.header, "th") + "</thead><tbody>")
        body += [_row(row, "td") for row in table.rows]
        body.append(f"</tbody></table></div><p>{escape(table.note)}</p>")
    text = html_document(escape(title), STYLE + BAR_STYLE, "\n".join(body))
    with atomic_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f'<{tag} dir="auto">{escape(cell)}</{tag}>' for cell in cells) + "</tr>"


def _x(chart: BarChart, value: float) -> float:
    share = (min(max(value, chart.low), chart.high) - chart.low) / (chart.high - chart.low)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _axis(chart: BarChart, height: int) -> Iterator[str]:
    for place in sorted({chart.low, chart.origin, chart.high}):
        kind = "origin" if place == chart.origin else "end"
        x = _x(chart, place)
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height}"/>'
        yield f'<text class="soft" text-anchor="middle" x="{x:.1f}" y="{TOP - 12}">{place:g}</text>'


def _bar(chart: BarChart, number: int, bar: Bar) -> Iterator[str]:
    middle = TOP + ROW * number + ROW / 2
    start, end = sorted((_x(chart, chart.origin), _x(chart, bar.value)))
    kind = "unsure"
    if bar.trusted and not bar.low <= chart.origin <= bar.high:
        kind = "worse" if bar.high < chart.origin else "better"
    yield f'<text text-anchor="end" x="{LEFT - 10}" y="{middle + 4:.1f}">{escape(bar.label)}</text>'
    yield (
        f'<rect class="{kind}" x="{start:.1f}" y="{middle - 8:.1f}"'
        f' width="{max(end - start, 1):.1f}" height="16">'
        f"<title>{escape(f'{bar.label}: {bar.shown}')}</title></rect>"
    )
    low, high = _x(chart, bar.low), _x(chart, bar.high)
    yield f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
    if bar.mark is not None:
        x = _x(chart, bar.mark)
        yield f'<path d="M{x - 4:.1f} {middle - 4:.1f}l8 8m0 -8l-8 8"/>'
    yield f'<text class="soft" x="{WIDTH - RIGHT + 10}" y="{middle + 4:.1f}">{escape(bar.shown)}</text>'
