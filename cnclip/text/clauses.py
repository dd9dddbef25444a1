"""A caption as clauses or keywords that may change places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from cnclip.text.wordkinds import only_qualifies

Border = Literal[
    "wall", "glue", "open"
]  # nothing moves across; the two move together; they may change places

# A comma inside 1,000 is none. Groups: the end of a sentence, a comma, only white space.
_GAP = re.compile(r"(\s*(?:[。！？!?]+|[，；;]|(?<!\d),|,(?!\d))\s*|\s+)")
_HAN = re.compile("[㐀-鿿]")
# A clause that begins with one of these leans on the one before it.
_LEANING_WORDS = (
    "但 而 并 並 且 却 卻 所以 因此 因而 从而 然后 接着 随后 于是 其 他 她 它 该 此 这 這 那 也 还 還 又 再 "
    "就 才 以及 和 与 與 及 或 等 另 之 后者 前者 使 让 则 同时 甚至 尤其 比如 例如 如 后 後 个 個"
)
_LEANING = tuple(_LEANING_WORDS.split())


def split_clauses(caption: str) -> tuple[list[str], list[str]]:
    """Cut at commas, ends of sentences and white space.

    Returns:
        Parts, without white space, the first and the last perhaps empty; and what stands between each two.
        Put together in turns they are the caption.
    """
    pieces = _GAP.split(caption)
    return pieces[::2], pieces[1::2]


def find_borders(words: Sequence[Sequence[str]], gaps: Sequence[str]) -> list[Border]:
    """What each gap allows.

    Clauses may change places at commas. Where a caption has no comma, its keywords may at spaces, unless it
    is a sentence that was written with spaces between its words.

    Args:
        words: of each part.
        gaps: between the parts.
    """
    marks = [gap.strip() for gap in gaps]
    commas = any(mark and mark[0] in "，；;," for mark in marks)
    keywords = not commas and all(_is_keyword(part) for part in words if part)
    return [
        _border(mark, words[place], words[place + 1], keywords=keywords) for place, mark in enumerate(marks)
    ]


def _border(mark: str, before: Sequence[str], after: Sequence[str], *, keywords: bool) -> Border:
    if not before or not after or (mark and mark[0] in "。！？!?"):
        return "wall"
    if only_qualifies(before) or only_qualifies(after):
        return "glue"  # 外套 黑色 裤子: nobody knows which of the two is black
    if not (_HAN.match(before[-1][-1]) and _HAN.match(after[0])):
        return "glue"  # iPhone 14 Pro
    return "open" if keywords or (mark and not after[0].startswith(_LEANING)) else "glue"


def _is_keyword(words: Sequence[str]) -> bool:
    """False for a single Chinese character (在, 的, 狗): then the spaces part the words of a sentence."""
    return len(words) > 1 or len(words[0]) > 1 or not _HAN.match(words[0])


def join_clauses(
    parts: Sequence[str], gaps: Sequence[str], borders: Sequence[Border], keys: Sequence[float]
) -> str:
    """Put parts together, those between open borders in the order of their keys.

    Args:
        parts: as `split_clauses` gave them, or changed.
        gaps: between the parts; they keep their places where units move.
        borders: of each gap.
        keys: of each part; that of a unit's first part counts.
    """
    text = ""
    units: list[tuple[float, str]] = [(keys[0], parts[0])]
    open_gaps: list[str] = []
    for place, border in enumerate(borders, start=1):
        gap, part = gaps[place - 1], parts[place]
        if border == "glue":
            units[-1] = (units[-1][0], units[-1][1] + gap + part)
        elif border == "open":
            open_gaps.append(gap)
            units.append((keys[place], part))
        else:
            text += _in_order(units, open_gaps) + gap
            units, open_gaps = [(keys[place], part)], []
    return text + _in_order(units, open_gaps)


def _in_order(units: list[tuple[float, str]], gaps: list[str]) -> str:
    ordered = [part for _, part in sorted(units, key=lambda unit: unit[0])]
    return ordered[0] + "".join(gap + part for gap, part in zip(gaps, ordered[1:], strict=True))
