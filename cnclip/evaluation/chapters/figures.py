"""The numbers of a chart as a table: below it for those who do not see it, and in Markdown in its place."""

from __future__ import annotations

from cnclip.evaluation.chapters.axes import linear_ticks, log_ticks, short_number
from cnclip.evaluation.chapters.blocks import Bar, Bars, Curves, Grid, Histogram, Words

MOST_ROWS = 12
_NOTHING = "-"


def curve_figures(chart: Curves) -> Grid:
    """Every line's value at up to a dozen places of the x axis, the first and the last among them."""
    places = _places(chart)
    values = {name: dict(series) for name, series in chart.series.items()}
    header = [chart.x_label, *(chart.names.get(name, Words(name, name)) for name in values)]
    rows = [
        [short_number(x), *(short_number(line[x]) if x in line else _NOTHING for line in values.values())]
        for x in places
    ]
    return Grid(chart.title, header, rows, chart.note)


def histogram_figures(chart: Histogram) -> Grid:
    """Each bin with the share of every series; neighbouring bins together where there are many."""
    count = len(chart.edges) - 1
    step = -(-count // MOST_ROWS) if count > 2 * MOST_ROWS else 1
    rows = []
    for start in range(0, count, step):
        end = min(start + step, count)
        bin_ends = f"{short_number(chart.edges[start])}–{short_number(chart.edges[end])}"
        rows.append([bin_ends, *(f"{sum(shares[start:end]):.1f}" for _, shares in chart.series)])
    return Grid(chart.title, [chart.x_label, *(name for name, _ in chart.series)], rows, _marks_note(chart))


def bar_figures(chart: Bars) -> Grid:
    """Label, value, interval, and what is shown at the right."""
    header = [Words("", ""), chart.axis, Words("区间", "Interval"), Words("说明", "Shown")]
    rows = [[bar.label, short_number(bar.value), _interval(bar), bar.shown] for bar in chart.bars]
    return Grid(chart.title, header, rows, chart.note)


def _interval(bar: Bar) -> str:
    """From low to high; nothing where both are the value itself, as they are where no samples were drawn."""
    if bar.low == bar.value == bar.high:
        return _NOTHING
    return f"{short_number(bar.low)}–{short_number(bar.high)}"


def _places(chart: Curves) -> list[float]:
    xs = sorted({x for series in chart.series.values() for x, _ in series})
    if len(xs) <= MOST_ROWS:
        return xs
    ticks = log_ticks(xs[0], xs[-1]) if chart.log_x else linear_ticks(xs[0], xs[-1], MOST_ROWS - 2)
    round_ones = set(ticks) & set(xs)
    if len(round_ones) < 4:
        round_ones = set(xs[:: -(-len(xs) // (MOST_ROWS - 2))])
    return sorted({xs[0], *round_ones, xs[-1]})


def _marks_note(chart: Histogram) -> Words | None:
    if not chart.marks:
        return chart.note
    zh = "；".join(f"{what.zh} {short_number(value)}" for value, what in chart.marks)
    en = "; ".join(f"{what.en} {short_number(value)}" for value, what in chart.marks)
    en = en[:1].upper() + en[1:]
    return Words(f"{zh}。{chart.note.zh}", f"{en}. {chart.note.en}") if chart.note else Words(zh, en)
