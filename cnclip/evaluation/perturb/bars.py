"""The suites' bars, and the page that they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnclip.artifacts import atomic_file
from cnclip.evaluation.chapters.bar_chart import bars_svg
from cnclip.evaluation.chapters.blocks import Bar, Bars, Words
from cnclip.evaluation.chapters.markup import escaped
from cnclip.evaluation.chapters.style import BARS, PAGE
from cnclip.pages import html_document
from cnclip.tables import Table

__all__ = ["Bar", "BarChart", "bar_chart_svg", "write_bar_page"]

_STYLE = f"{PAGE}{BARS}th, td {{ padding: .3rem .5rem; white-space: normal; font-size: .85rem; }}\n"


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
    title = Words(chart.title, chart.title)
    return bars_svg(Bars(title, title, chart.bars, chart.origin, ends=(chart.low, chart.high)))


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
    body = [f"<h1>{escaped(title)}</h1>", *(f"<p>{escaped(line)}</p>" for line in lines)]
    for chart in charts:
        body.append(
            f'<h2>{escaped(chart.title)}</h2><article><div class="scroll">{bar_chart_svg(chart)}</div>'
        )
        body.append(f"<p>{escaped(chart.note)}</p></article>")
    for table in tables:
        body.append(f'<h2>{escaped(table.title)}</h2><div class="scroll"><table><thead>')
        body.append(_row(table.header, "th") + "</thead><tbody>")
        body += [_row(row, "td") for row in table.rows]
        body.append(f"</tbody></table></div><p>{escaped(table.note)}</p>")
    text = html_document(escaped(title), _STYLE, "\n".join(body))
    with atomic_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f'<{tag} dir="auto">{escaped(cell)}</{tag}>' for cell in cells) + "</tr>"
