"""A result as one HTML file that opens without a network: tables, and queries with their pictures.

Nothing is fetched: pictures are small re-encoded copies inside the file, and the content policy admits only
them and the one style sheet, so a caption cannot bring in script, style or address.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, features

from cnclip.artifacts import atomic_file
from cnclip.images.decode import decode_image
from cnclip.pages import html_document
from cnclip.tables import Table, numeric_columns

Pictures = Sequence[tuple[bytes, str, float, bool | None]]
QueryResults = Sequence[tuple[str, Pictures]]

THUMBNAIL_PIXELS = 224

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #22201d; --soft: #78716a;
  --line: #e5e0d9; --accent: #b4412c; --good: #2f8f4e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191817; --card: #232120; --ink: #ece8e2; --soft: #a29a90; --line: #3a3633;
    --accent: #ef8a70; --good: #6ccb8a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); line-height: 1.6;
  font-family: system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; line-height: 1.3; } h2 { margin: 2.5rem 0 .5rem; padding-left:
.6rem; border-left: .3rem solid var(--accent); font-size: 1.25rem; } h3 { margin: 0 0 .6rem; font-size:
1.05rem; overflow-wrap: anywhere; } h4 { margin: .4rem 0; font-size: .85rem; font-weight: 600; color:
var(--soft); } p { margin: .2rem 0; color: var(--soft); overflow-wrap: anywhere; } .scroll { overflow-x: auto;
} table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; } th, td { padding:
.35rem .9rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; } th { color:
var(--soft); font-size: .85rem; font-weight: 600; } .number { text-align: right; } article { margin: 1rem 0;
padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: .8rem;
  background: var(--card); }
.models { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem),
1fr)); } .pictures { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); }
.models > section:only-child .pictures { grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }
figure { margin: 0; min-width: 0; } figure img { display: block; width: 100%; aspect-ratio: 1; object-fit:
contain; border: 2px solid var(--line);
  border-radius: .5rem; background: #fff; }
figure.correct img { border-color: var(--good); box-shadow: 0 0 0 2px var(--good); }
figcaption { margin-top: .3rem; font-size: .8rem; line-height: 1.35; overflow-wrap: anywhere; }
figcaption span { display: block; color: var(--soft); font-variant-numeric: tabular-nums; }
figure.correct figcaption span { color: var(--good); font-weight: 600; }
"""


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
    body = [f"<h1>{_text(title)}</h1>", *(f"<p>{_text(line)}</p>" for line in lines)]
    body += [_table(table) for table in tables]
    body += [_section(section, thumbnails) for section in sections]
    with atomic_file(path) as temporary:
        temporary.write_bytes(html_document(_text(title), STYLE, "\n".join(body)).encode("utf-8", "replace"))


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
        return "<tr>" + "".join(f"<{tag}{kind}>{_text(cell)}</{tag}>" for cell, kind in marked) + "</tr>"

    return "\n".join(
        [
            f"<h2>{_text(table.title)}</h2>",
            '<div class="scroll"><table>',
            f"<thead>{line(table.header, 'th')}</thead>",
            "<tbody>",
            *(line(row, "td") for row in table.rows),
            "</tbody></table></div>",
            f"<p>{_text(table.note)}</p>" if table.note else "",
        ]
    )


def _section(section: Section, thumbnails: dict[bytes, str]) -> str:
    parts = [f"<h2>{_text(section.title)}</h2>"]
    if section.note:
        parts.append(f"<p>{_text(section.note)}</p>")
    for answers in zip(*section.models.values(), strict=True):
        columns = []
        for model, (_, pictures) in zip(section.models, answers, strict=True):
            heading = f"<h4>{_text(model)}</h4>" if model else ""
            figures = "\n".join(_figure(*picture, thumbnails=thumbnails) for picture in pictures)
            columns.append(f'<section>{heading}<div class="pictures">\n{figures}\n</div></section>')
        parts.append(f'<article><h3 dir="auto">{_text(answers[0][0])}</h3>')
        parts.append(f'<div class="models">{"".join(columns)}</div></article>')
    return "\n".join(parts)


def _figure(
    image: bytes, label: str, score: float, correct: bool | None, *, thumbnails: dict[bytes, str]
) -> str:
    if image not in thumbnails:
        thumbnails[image] = _data_uri(image, label)
    mark = ' class="correct"' if correct else ""
    sign = {True: "✓ ", False: "✗ ", None: ""}[correct]
    return (
        f'<figure{mark}><img loading="lazy" src="{thumbnails[image]}" alt="{_text(label)}">'
        f'<figcaption dir="auto">{_text(label)}<span>{sign}{score:.3f}</span></figcaption></figure>'
    )


def _data_uri(image: bytes, name: str) -> str:
    """A small copy: what the model saw (upright, over white), without the file's metadata."""
    picture = decode_image(image, name=name)
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    kind = "webp" if features.check("webp") else "jpeg"
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=82)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _text(value: str) -> str:
    """Escaped for text and quoted attributes; control and direction-changing characters made visible."""
    return escape(
        "".join("\ufffd" if _is_hidden(character) else character for character in value), quote=True
    )


def _is_hidden(character: str) -> bool:
    # The zero-width joiner stays: it holds emoji together.
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in "\n\t\u200d"
