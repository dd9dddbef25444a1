"""Chapters as Markdown, Chinese and English one after the other; charts as tables of their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnclip.evaluation.chapters.blocks import (
    Bars,
    Block,
    Card,
    Cell,
    Chapter,
    Code,
    Curves,
    Grid,
    Histogram,
    Paragraph,
    Pictures,
    Words,
    shown,
)
from cnclip.evaluation.chapters.figures import bar_figures, curve_figures, histogram_figures
from cnclip.evaluation.chapters.markup import brief, column_kinds, is_hidden, is_numeric
from cnclip.evaluation.examples import QueryResult

_MARKS = {True: " ✓", False: " ✗", None: ""}


def report_markdown(title: Words, chapters: Sequence[Chapter]) -> str:
    """The whole report as text.

    Args:
        title: the heading.
        chapters: in order; an empty one is left out.
    """
    parts = [f"# {_line(title)}"]
    for chapter in chapters:
        if chapter.blocks or chapter.intro:
            parts.append(f"## {_line(chapter.title)}")
            parts += _paragraphs(chapter.intro) if chapter.intro else []
            parts += [part for block in chapter.blocks for part in _block(block)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield from _paragraphs(block.text)
        case Grid():
            yield from _table(block)
        case Curves():
            yield from _table(curve_figures(block))
        case Histogram():
            yield from _table(histogram_figures(block))
        case Bars():
            yield from _table(bar_figures(block))
        case Pictures():
            yield from _pictures(block)
        case Card():
            yield f"### {_line(block.title)}"
            yield "\n".join(f"- {_line(what)}: {_line(value)}" for what, value in block.facts)
        case Code():
            fence = "~~~~" if "~~~" in block.text else "~~~"
            yield f"{fence}\n{_visible(block.text)}\n{fence}"


def _table(grid: Grid) -> Iterator[str]:
    kinds = column_kinds(grid.rows, len(grid.header))
    rows = [[_cell(cell) for cell in row] for row in (grid.header, *grid.rows)]
    rows.insert(1, ["--:" if kind == "number" else "---" for kind in kinds])
    yield f"### {_line(grid.title)}"
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if grid.note:
        yield from _paragraphs(grid.note)


def _cell(cell: Cell) -> str:
    return cell.strip() if isinstance(cell, str) and is_numeric(cell) else _line(brief(cell))


def _pictures(block: Pictures) -> Iterator[str]:
    yield f"### {_line(block.title)}"
    if block.note:
        yield from _paragraphs(block.note)
    lines = []
    for number, answers in enumerate(zip(*block.models.values(), strict=True)):
        lines.append(f"- {_line(brief(block.heading(number)))}")
        lines += [
            f"  - {f'{_line(model)}: ' if model else ''}{_found(answer)}"
            for model, answer in zip(block.models, answers, strict=True)
        ]
    yield "\n".join(lines)


def _found(answer: QueryResult) -> str:
    return " | ".join(
        f"{_line(brief(picture.label))}{_MARKS[picture.correct]} {picture.score:.3f}"
        for picture in answer.pictures
    )


def _paragraphs(words: Words) -> list[str]:
    return [_line(words)] if words.zh == words.en else [_line(words.zh), _line(words.en)]


def _line(words: Cell) -> str:
    """One line without signs that Markdown or HTML would read, and without hidden characters."""
    text = " ".join(shown(words).split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in _visible(text))


def _visible(text: str) -> str:
    return "".join("\ufffd" if is_hidden(sign) else sign for sign in text)
