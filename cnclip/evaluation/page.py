"""A result as one HTML file that opens without a network: tables, and queries with their pictures.

Nothing is fetched: pictures are small re-encoded copies inside the file, and the content policy admits only
them and the one style sheet, so a caption cannot bring in script, style or address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnclip.artifacts import atomic_file
from cnclip.evaluation.chapters import style
from cnclip.evaluation.chapters.album import thumbnail
from cnclip.evaluation.chapters.markup import escaped
from cnclip.pages import html_document
from cnclip.tables import Table, numeric_columns

Pictures = Sequence[tuple[bytes, str, float, bool | None]]
QueryResults = Sequence[tuple[str, Pictures]]

STYLE = style.PAGE


@dataclass(frozen=True)
class Section:
    """Queries under one heading.

    Attributes:
        title: the heading.
        models: model name -> its results for the same queries in the same order; shown side by side.
        note: one line below the heading.
    """

    title: str
    models: Mapping[str, QueryResults]
    note: str = ""


def write_page(
    path: Path,
    title: str,
    *,
    lines: Sequence[str] = (),
    tables: Sequence[Table] = (),
    sections: Sequence[Section] = (),
) -> None:
    """Write a page: title, lines of facts, tables, sections of queries.

    Raises:
        ResourceError: disk full or no permission.
        ImageError: a picture's bytes cannot be decoded.
    """
    thumbnails: dict[bytes, str] = {}
    body = [f"<h1>{escaped(title)}</h1>", *(f"<p>{escaped(line)}</p>" for line in lines)]
    body += [_table(table) for table in tables]
    body += [_section(section, thumbnails) for section in sections]
    with atomic_file(path) as temporary:
        temporary.write_bytes(
            html_document(escaped(title), STYLE, "\n".join(body)).encode("utf-8", "replace")
        )


def write_search_page(
    path: Path,
    title: str,
    tables: Sequence[Table],
    query_results: QueryResults | Mapping[str, QueryResults],
    *,
    lines: Sequence[str] = (),
) -> None:
    """Write a page of tables and queries with their top pictures.

    Args:
        path: the HTML file.
        title: its heading.
        tables: shown above the queries.
        query_results: (query, [(image bytes, label, score, correct or None)]) of one model, or model name ->
            such results for the same queries, shown side by side.
        lines: facts below the heading.

    Raises:
        ResourceError: disk full or no permission.
        ImageError: a picture's bytes cannot be decoded.
    """
    models = query_results if isinstance(query_results, Mapping) else {"": query_results}
    section = Section("中文搜图 Search in Chinese", models)
    write_page(path, title, lines=lines, tables=tables, sections=[section])


def _table(table: Table) -> str:
    classes = [' class="number"' if right else "" for right in numeric_columns(table)]

    def line(cells: Sequence[str], tag: str) -> str:
        marked = zip(cells, classes, strict=True)
        return "<tr>" + "".join(f"<{tag}{kind}>{escaped(cell)}</{tag}>" for cell, kind in marked) + "</tr>"

    return "\n".join(
        [
            f"<h2>{escaped(table.title)}</h2>",
            '<div class="scroll"><table>',
            f"<thead>{line(table.header, 'th')}</thead>",
            "<tbody>",
            *(line(row, "td") for row in table.rows),
            "</tbody></table></div>",
            f"<p>{escaped(table.note)}</p>" if table.note else "",
        ]
    )


def _section(section: Section, thumbnails: dict[bytes, str]) -> str:
    parts = [f"<h2>{escaped(section.title)}</h2>"]
    if section.note:
        parts.append(f"<p>{escaped(section.note)}</p>")
    for answers in zip(*section.models.values(), strict=True):
        columns = []
        for model, (_, pictures) in zip(section.models, answers, strict=True):
            heading = f"<h4>{escaped(model)}</h4>" if model else ""
            figures = "\n".join(_figure(*picture, thumbnails=thumbnails) for picture in pictures)
            columns.append(f'<section>{heading}<div class="pictures">\n{figures}\n</div></section>')
        parts.append(f'<article><h3 dir="auto">{escaped(answers[0][0])}</h3>')
        parts.append(f'<div class="models">{"".join(columns)}</div></article>')
    return "\n".join(parts)


def _figure(
    image: bytes, label: str, score: float, correct: bool | None, *, thumbnails: dict[bytes, str]
) -> str:
    if image not in thumbnails:
        thumbnails[image] = thumbnail(image, label).address
    mark = ' class="correct"' if correct else ""
    sign = {True: "✓ ", False: "✗ ", None: ""}[correct]
    said = f'{escaped(label)}<span class="score">{sign}{score:.3f}</span>'
    return (
        f'<figure{mark}><img loading="lazy" src="{thumbnails[image]}" alt="{escaped(label)}">'
        f'<figcaption dir="auto">{said}</figcaption></figure>'
    )
