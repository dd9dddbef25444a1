"""The report as one HTML file that opens without a network: verdict, findings, tables, histograms, pictures.

Nothing is fetched: the content policy admits only the pictures inside the file and the one style sheet, so a
caption cannot bring in script, style or address.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from cnclip.pages import html_document
from cnclip.stores.doctor.contact_sheet import Strip
from cnclip.stores.doctor.histogram import Histogram
from cnclip.stores.doctor.outcome import Checkup, StoreCheckup
from cnclip.stores.doctor.tables import GRADE_NAMES, store_tables, summary_tables, verdict
from cnclip.tables import Table

TITLE = "数据体检报告 Data check"
_BAR, _GAP, _HEIGHT, _FOOT, _HEAD = 58, 6, 120, 40, 16  # pixels of a histogram

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #22201d; --soft: #78716a;
  --line: #e5e0d9; --accent: #b4412c; --error: #c22a1c;
  --warning: #b97a06; --note: #3f74b5; --good: #2f8f4e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191817; --card: #232120; --ink: #ece8e2; --soft: #a29a90; --line: #3a3633;
    --accent: #ef8a70; --error: #ff7a6b; --warning: #e7b04a; --note: #8ab4e8; --good: #6ccb8a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); line-height: 1.6;
  font-family: system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; }
h2 { margin: 2.5rem 0 .5rem; padding-left: .6rem; border-left: .3rem solid var(--accent); font-size: 1.25rem;
  overflow-wrap: anywhere; }
h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .2rem 0; color: var(--soft); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .4rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--soft); font-size: .85rem; font-weight: 600; }
td { overflow-wrap: break-word; }
.verdict { margin: 1rem 0; padding: .8rem 1.2rem; border: 2px solid var(--good); border-radius: .8rem;
  font-size: 1.2rem; font-weight: 600; color: var(--good); }
.verdict.error { border-color: var(--error); color: var(--error); }
article { margin: .6rem 0; padding: .6rem 1.2rem; border: 1px solid var(--line); border-left-width: .4rem;
  border-radius: .6rem; background: var(--card); }
article strong { display: block; overflow-wrap: anywhere; }
article.error { border-left-color: var(--error); } article.error strong { color: var(--error); }
article.warning { border-left-color: var(--warning); } article.warning strong { color: var(--warning); }
article.note { border-left-color: var(--note); } article.note strong { color: var(--note); }
.columns { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
svg { max-width: 100%; height: auto; } svg rect { fill: var(--note); }
svg text { fill: var(--soft); font-size: 11px; text-anchor: middle; }
.pictures { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border: 1px solid var(--line);
  border-radius: .5rem; background: #fff; }
figcaption { font-size: .75rem; line-height: 1.3; overflow-wrap: anywhere; color: var(--soft); }
"""


def page_text(checkup: Checkup, strips: Iterable[Strip]) -> str:
    """The whole document."""
    body = [f"<h1>{shown(TITLE)}</h1>", *(f"<p>{shown(line)}</p>" for line in _lines(checkup))]
    kind = "verdict" if checkup.should_train else "verdict error"
    body.append(f'<p class="{kind}">{shown(verdict(checkup))}</p>')
    body += _findings(checkup)
    body += [_table(table, "h2") for table in summary_tables(checkup)]
    for store in checkup.stores:
        body += _store(store)
    body += _pictures(strips)
    return html_document(shown(TITLE), STYLE, "\n".join(body))


def shown(value: str) -> str:
    """Escaped for text and quoted attributes; control and direction-changing characters made visible."""
    return escape(
        "".join("\ufffd" if _is_hidden(character) else character for character in value), quote=True
    )


def histogram_svg(bins: Histogram, title: str) -> str:
    """Bars with their counts above and their bins below, from the first to the last that is not empty."""
    filled = [place for place, count in enumerate(bins.counts) if count] or [0]
    span = slice(filled[0], filled[-1] + 1)
    counts, labels = bins.counts[span], bins.labels[span]
    width, tallest = (_BAR + _GAP) * len(counts), max(1, *counts)
    parts = []
    for place, (count, label) in enumerate(zip(counts, labels, strict=True)):
        left, middle = place * (_BAR + _GAP) + _GAP / 2, (place + 0.5) * (_BAR + _GAP)
        tall = round(count / tallest * _HEIGHT, 1)
        top = _HEAD + _HEIGHT - tall
        parts.append(f'<rect x="{left:g}" y="{top:g}" width="{_BAR}" height="{tall:g}"/>')
        if count:
            parts.append(f'<text x="{middle:g}" y="{top - 4:g}">{count}</text>')
        parts.append(f'<text x="{middle:g}" y="{_HEAD + _HEIGHT + 16}">{shown(label)}</text>')
    size = f"0 0 {width} {_HEAD + _HEIGHT + _FOOT}"
    return (
        f'<svg viewBox="{size}" width="{width}" role="img" aria-label="{shown(title)}">{"".join(parts)}</svg>'
    )


def _lines(checkup: Checkup) -> Iterator[str]:
    options = checkup.options
    yield (
        f"上下文长度 context length {options.context_length} · 批大小 batch size {options.batch_size} · "
        f"近似 near {options.near} / 64 bits"
    )
    for store in checkup.stores:
        yield f"{store.name} · {store.sketch.fingerprint[:16]}"


def _findings(checkup: Checkup) -> Iterator[str]:
    yield "<h2>发现 Findings</h2>"
    for finding in checkup.findings:
        title = f"{GRADE_NAMES[finding.grade]} · {finding.title}"
        yield (
            f'<article class="{finding.grade}"><strong>{shown(title)}</strong>'
            f'<span dir="auto">{shown(finding.measured)}</span><p>{shown(finding.where)}</p>'
            f"<p>→ {shown(finding.advice)}</p></article>"
        )
    if not checkup.findings:
        yield "<p>没有 none</p>"


def _store(store: StoreCheckup) -> Iterator[str]:
    yield f"<h2>{shown(store.name)}</h2>"
    for title, bins in (
        ("短边（像素） Shorter side (pixels)", store.pictures.shorter_side),
        ("长宽比 Aspect (longer / shorter)", store.pictures.aspect),
        ("词元数 Tokens of a caption", store.captions.tokens),
    ):
        yield f'<h3>{title}</h3><div class="scroll">{histogram_svg(bins, title)}</div>'
    yield '<div class="columns">'
    yield from (f"<section>{_table(table, 'h3')}</section>" for table in store_tables(store) if table.rows)
    yield "</div>"
    if store.sketch.problems:
        yield "<h3>读不了的行 Rows that cannot be read</h3>"
        for problem in store.sketch.problems[:100]:
            yield f"<p>{problem.index} · {shown(problem.name)} · {shown(problem.reason)}</p>"


def _pictures(strips: Iterable[Strip]) -> Iterator[str]:
    for place, strip in enumerate(strips):
        if place == 0:
            yield "<h2>值得一看的图片 Pictures worth a look</h2>"
        figures = (
            f'<figure><img loading="lazy" src="{thumbnail.uri}" alt="{shown(thumbnail.label)}">'
            f'<figcaption dir="auto">{shown(thumbnail.label)}</figcaption></figure>'
            for thumbnail in strip.thumbnails
        )
        yield f'<h3>{shown(strip.title)}</h3><div class="pictures">{"".join(figures)}</div>'


def _table(table: Table, heading: str) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag} dir="auto">{shown(cell)}</{tag}>' for cell in cells) + "</tr>"

    rows = "".join(line(row, "td") for row in table.rows)
    note = f"<p>{shown(table.note)}</p>" if table.note else ""
    return (
        f'<{heading}>{shown(table.title)}</{heading}><div class="scroll"><table>'
        f"<thead>{line(table.header, 'th')}</thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _is_hidden(character: str) -> bool:
    # The zero-width joiner stays: it holds emoji together.
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in "\n\t\u200d"
