"""What a report is made of. Nothing here draws: pages, Markdown and terminals each render these chapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnclip.evaluation.examples import QueryResult
from cnclip.tables import Table


@dataclass(frozen=True)
class Words:
    """The same said in Chinese and in English."""

    zh: str
    en: str

    @property
    def both(self) -> str:
        """Chinese, then English; once where they are equal."""
        return self.zh if self.zh == self.en else f"{self.zh} {self.en}"


Cell = str | Words
Point = tuple[float, float]


def shown(cell: Cell) -> str:
    """A cell for places that have no choice of language."""
    return cell if isinstance(cell, str) else cell.both


@dataclass(frozen=True)
class Paragraph:
    """One paragraph."""

    text: Words


@dataclass(frozen=True)
class Grid:
    """A table whose words are in both languages.

    Attributes:
        title: one line above.
        header: of the columns.
        rows: cells; numbers are strings, ready to be shown.
        note: one line below.
    """

    title: Words
    header: Sequence[Words]
    rows: Sequence[Sequence[Cell]]
    note: Words | None = None

    def table(self) -> Table:
        """For terminals and Markdown."""
        return Table(
            self.title.both,
            [cell.both for cell in self.header],
            [[shown(cell) for cell in row] for row in self.rows],
            self.note.both if self.note else "",
        )


@dataclass(frozen=True)
class Curves:
    """Lines over one axis.

    Attributes:
        title: the heading.
        x_label, y_label: of the axes, with their units.
        series: name -> points, ascending in x.
        log_x: whether the x axis is logarithmic; then x > 0.
        note: one line below.
        names: how a series is called in both languages, where its name is no model's.
        baseline: the series to compare with, such as chance: drawn grey and dashed.
    """

    title: Words
    x_label: Words
    y_label: Words
    series: Mapping[str, Sequence[Point]]
    log_x: bool = False
    note: Words | None = None
    names: Mapping[str, Words] = field(default_factory=dict)
    baseline: str | None = None


@dataclass(frozen=True)
class Histogram:
    """Shares of values per bin, one outline for each series.

    Attributes:
        title: the heading.
        x_label: of the values, with their unit.
        edges: B + 1 ascending borders of the bins.
        series: (name, B shares in percent of that series), ...
        marks: (value on the x axis, what it is), drawn as upright lines.
        note: one line below.
    """

    title: Words
    x_label: Words
    edges: Sequence[float]
    series: Sequence[tuple[Words, Sequence[float]]]
    marks: Sequence[tuple[float, Words]] = ()
    note: Words | None = None


@dataclass(frozen=True)
class Bar:
    """One bar, from the chart's origin to its value.

    Attributes:
        label: at its left.
        value, low, high: with the interval.
        shown: the figures at its right.
        trusted: whether there is enough behind it; grey where not.
        mark: a second value, drawn as a cross; None draws none.
    """

    label: Cell
    value: float
    low: float
    high: float
    shown: str
    trusted: bool = True
    mark: float | None = None


@dataclass(frozen=True)
class Bars:
    """Horizontal bars.

    Attributes:
        title: the heading.
        axis: what the values are, with their unit.
        bars: from top to bottom.
        origin: where bars begin, and where a line is drawn.
        note: one line below.
        ends: of the axis; None takes what the bars need.
    """

    title: Words
    axis: Words
    bars: Sequence[Bar]
    origin: float = 0.0
    note: Words | None = None
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Pictures:
    """Queries with the pictures that they found.

    Attributes:
        title: the heading.
        models: model name -> its answers to the same queries in the same order, side by side; the name is
            "" where one model is shown.
        note: one line below the heading.
        headings: what stands above each query's pictures; the query itself where there are none.
    """

    title: Words
    models: Mapping[str, Sequence[QueryResult]]
    note: Words | None = None
    headings: Sequence[Cell] = ()

    def heading(self, number: int) -> Cell:
        """What stands above the pictures of query `number`."""
        return self.headings[number] if self.headings else next(iter(self.models.values()))[number].query


@dataclass(frozen=True)
class Card:
    """Facts about one thing, such as a model: (what, its value), ..."""

    title: str
    facts: Sequence[tuple[Words, Cell]]


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is, such as a command line."""

    text: str


Block = Paragraph | Grid | Curves | Histogram | Bars | Pictures | Card | Code


@dataclass(frozen=True)
class Chapter:
    """A part of a report.

    Attributes:
        name: its anchor in the page: ASCII letters, digits and hyphens.
        title: the heading.
        blocks: in order.
        intro: what it shows and how to read it.
    """

    name: str
    title: Words
    blocks: Sequence[Block]
    intro: Words | None = None
