"""Chapters as one HTML file: offline, without script, in Chinese, English, or both, as the reader chooses.

The choice is three radio buttons and style; the page opens in Chinese. Nothing is fetched: the content
policy admits the one style sheet and pictures inside the file, so a caption cannot bring in script, style or
address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path

from cnclip.artifacts import atomic_file
from cnclip.evaluation.chapters import charts
from cnclip.evaluation.chapters.album import MOST_BYTES, Album
from cnclip.evaluation.chapters.axes import short_number
from cnclip.evaluation.chapters.bar_chart import bars_svg
from cnclip.evaluation.chapters.blocks import (
    Bars,
    Block,
    Card,
    Chapter,
    Code,
    Curves,
    Grid,
    Histogram,
    Paragraph,
    Pictures,
    Words,
)
from cnclip.evaluation.chapters.figures import curve_figures, histogram_figures
from cnclip.evaluation.chapters.markup import brief, brief_text, column_kinds, escaped, figures, plain, said
from cnclip.evaluation.chapters.style import REPORT
from cnclip.evaluation.examples import Picture, QueryResult
from cnclip.pages import html_document

LANGUAGES = (("zh", "中文", "zh-CN"), ("en", "English", "en"), ("both", "中文 + English", ""))
_ROWS = {Curves: "charts", Histogram: "charts", Card: "cards"}
_FIGURES = Words("图中的数字", "The numbers in the chart")


def write_report_page(
    path: Path, title: Words, chapters: Sequence[Chapter], *, most_picture_bytes: int = MOST_BYTES
) -> None:
    """Write chapters as a page.

    Args:
        path: the HTML file.
        title: the heading.
        chapters: in order; an empty one is left out.
        most_picture_bytes: of all pictures in the file, as written; where that is not enough, later pictures
            are empty frames and the page says how many.

    Raises:
        ResourceError: disk full or no permission.
        ImageError: a picture's bytes cannot be decoded.
    """
    album = Album(most_picture_bytes)
    kept = [chapter for chapter in chapters if chapter.blocks or chapter.intro]
    sections = [_chapter(chapter, album) for chapter in kept]
    body = "\n".join(
        [
            *_switch(title),
            "<main>",
            f'<h1 id="top">{said(title)}</h1>',
            _contents(kept),
            *_left_out(album),
            *sections,
            "</main>",
            album.symbols(),
        ]
    )
    page = html_document(plain(title), REPORT, body)
    with atomic_file(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))


def _switch(title: Words) -> Iterator[str]:
    """The radio buttons, before all that they hide, and their labels in the bar that stays on top."""
    for name, _, _ in LANGUAGES:
        checked = " checked" if name == "zh" else ""
        yield (
            f'<input class="language" type="radio" name="language" id="language-{name}"'
            f' autocomplete="off"{checked}>'
        )
    labels = "".join(
        f'<label for="language-{name}"{f""" lang="{code}" """.rstrip() if code else ""}>{shown}</label>'
        for name, shown, code in LANGUAGES
    )
    yield f'<header><a href="#top">{said(title)}</a>'
    yield f'<div class="languages" role="group" aria-label="语言 Language">{labels}</div></header>'


def _contents(chapters: Iterable[Chapter]) -> str:
    lines = (f'<li><a href="#{escaped(one.name)}">{said(one.title)}</a></li>' for one in chapters)
    return f'<nav aria-label="目录 Contents"><ol>{"".join(lines)}</ol></nav>'


def _left_out(album: Album) -> Iterator[str]:
    if album.left_out:
        count, copies = album.left_out, album.copies
        words = Words(
            f"为控制网页大小，只放了 {copies} 张图片的缩略图，另有 {count} 张以空框代替。",
            f"To keep the page small it holds {copies} pictures; {count} others are empty frames.",
        )
        yield f'<p class="left-out">{said(words)}</p>'


def _chapter(chapter: Chapter, album: Album) -> str:
    name = escaped(chapter.name)
    parts = [f'<section id="{name}" aria-labelledby="{name}-title">']
    parts.append(f'<h2 id="{name}-title">{said(chapter.title)}</h2>')
    if chapter.intro:
        parts.append(_paragraph(chapter.intro))
    for row, blocks in groupby(chapter.blocks, key=lambda block: _ROWS.get(type(block), "")):
        drawn = [_block(block, album) for block in blocks]
        parts += [f'<div class="{row}">', *drawn, "</div>"] if row else drawn
    return "\n".join([*parts, "</section>"])


def _block(block: Block, album: Album) -> str:
    match block:
        case Paragraph():
            return _paragraph(block.text, "lead")
        case Grid():
            return f'<div class="table"><h3>{said(block.title)}</h3>{_table(block)}{_note(block.note)}</div>'
        case Curves():
            return _curves(block)
        case Histogram():
            return _histogram(block)
        case Bars():
            drawn = f'<p class="axis">{said(block.axis)}</p><div class="scroll">{bars_svg(block)}</div>'
            return f"<article><h3>{said(block.title)}</h3>{drawn}{_note(block.note)}</article>"
        case Pictures():
            return _pictures(block, album)
        case Card():
            facts = "".join(f"<dt>{said(what)}</dt><dd>{said(value)}</dd>" for what, value in block.facts)
            return f'<article><h3 dir="auto">{escaped(block.title)}</h3><dl>{facts}</dl></article>'
        case Code():
            return f"<pre><code>{escaped(block.text)}</code></pre>"


def _paragraph(words: Words, kind: str = "") -> str:
    return f'<p class="{kind}">{said(words)}</p>' if kind else f"<p>{said(words)}</p>"


def _note(words: Words | None) -> str:
    return _paragraph(words) if words else ""


def _table(grid: Grid) -> str:
    kinds = column_kinds(grid.rows, len(grid.header))
    classes = [f' class="{kind}"' for kind in kinds]
    heads = "".join(
        f'<th scope="col"{kind}>{said(cell)}</th>' for cell, kind in zip(grid.header, classes, strict=True)
    )
    lines = [f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>']
    firsts = [row[0] for row in grid.rows]
    parted = any(one == other for one, other in pairwise(firsts))
    before = firsts[:1]
    for row in grid.rows:
        cells = "".join(
            f'<td{kind} dir="auto">{figures(brief(cell))}</td>'
            for cell, kind in zip(row, classes, strict=True)
        )
        begins = parted and [row[0]] != before
        lines.append(f"<tr{' class=part' if begins else ''}>{cells}</tr>")
        before = [row[0]]
    return "\n".join([*lines, "</tbody></table></div>"])


def _curves(chart: Curves) -> str:
    swatches = (charts.swatch(place, name == chart.baseline) for place, name in enumerate(chart.series))
    names = (said(chart.names.get(name, name)) for name in chart.series)
    legend = "".join(f"<li>{swatch}{name}</li>" for swatch, name in zip(swatches, names, strict=True))
    return _chart(chart, charts.curves_svg(chart), legend, curve_figures(chart), said(chart.y_label))


def _histogram(chart: Histogram) -> str:
    legend = "".join(
        f"<li>{charts.outline_swatch(place)}{said(name)}</li>" for place, (name, _) in enumerate(chart.series)
    )
    legend += "".join(
        f"<li><b>{number}</b>{said(what)}: {short_number(value)}</li>"
        for number, (value, what) in enumerate(chart.marks, 1)
    )
    return _chart(chart, charts.histogram_svg(chart), legend, histogram_figures(chart), "%")


def _chart(chart: Curves | Histogram, drawn: str, legend: str, numbers: Grid, y_label: str) -> str:
    return (
        f"<article><h3>{said(chart.title)}</h3>"
        f'<p class="axis">{y_label}</p>{drawn}<p class="axis x">{said(chart.x_label)}</p>'
        f'<ul class="legend">{legend}</ul>{_note(chart.note)}'
        f"<details><summary>{said(_FIGURES)}</summary>{_table(numbers)}</details></article>"
    )


def _pictures(block: Pictures, album: Album) -> str:
    parts = [f'<div class="gallery{_narrow(block)}"><h3>{said(block.title)}</h3>{_note(block.note)}']
    for number, answers in enumerate(zip(*block.models.values(), strict=True)):
        columns = "".join(
            _answer(model, answer, album) for model, answer in zip(block.models, answers, strict=True)
        )
        heading = f'<h3 dir="auto">{said(brief(block.heading(number)))}</h3>'
        parts.append(f'<article>{heading}<div class="models">{columns}</div></article>')
    return "\n".join([*parts, "</div>"])


def _narrow(block: Pictures) -> str:
    """Style class of galleries with so few pictures each that several of them fit beside each other."""
    widest = max((len(one.pictures) for answers in block.models.values() for one in answers), default=0)
    if len(block.models) > 1 or widest > 4:
        return ""
    return " pairs" if widest <= 2 else " few"


def _answer(model: str, answer: QueryResult, album: Album) -> str:
    heading = f"<h4>{escaped(model)}</h4>" if model else ""
    shown = "\n".join(_figure(picture, album) for picture in answer.pictures)
    return f'<section>{heading}<div class="pictures">\n{shown}\n</div></section>'


def _figure(picture: Picture, album: Album) -> str:
    mark = ' class="correct"' if picture.correct else ""
    sign = {True: "✓ ", False: "✗ ", None: ""}[picture.correct]
    label = brief_text(picture.label)
    return (
        f"<figure{mark}>{album.place(picture.image, label)}"
        f'<figcaption dir="auto">{escaped(label)}'
        f'<span class="score">{sign}{picture.score:.3f}</span></figcaption></figure>'
    )
