"""Length, vocabulary, scripts, boilerplate and repetition of a store's captions, as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnclip.stores.doctor import scripts
from cnclip.stores.doctor.captions import EDGE_CHARACTERS, NOT_CUT, SPECIAL_PIECES
from cnclip.stores.doctor.groups import Groups, groups_by_key
from cnclip.stores.doctor.histogram import Histogram, histogram
from cnclip.stores.doctor.pictures import Rows

LABEL_WORDS = 2  # a caption of so few words is a label, not a sentence
BOILERPLATE_SHARE = 0.05  # of the different captions; fewer with the same beginning are no pattern
KEPT_SHARE = 0.99  # of the captions that the advised context length keeps whole

_TOKENS = (2, 5, 10, 15, 20, 25, 30, 40, 52, 64, 96, 128, 256, 512)

CaptionAt = Callable[[int], str]


@dataclass(frozen=True)
class Counted:
    """A text and how many captions it is true of."""

    text: str
    captions: int


@dataclass(frozen=True)
class Measured:
    """A text and its number of tokens."""

    text: str
    tokens: int


@dataclass(frozen=True)
class CaptionFacts:
    """The captions of a store.

    Attributes:
        count: captions that could be read.
        context_length: pieces that the model gets, [CLS] and [SEP] included.
        tokens: of each caption, uncut, [CLS] and [SEP] included.
        median_tokens, most_tokens: of these.
        truncated: captions longer than the context.
        whole_length: the least context length that keeps KEPT_SHARE of the captions whole.
        pieces, unknown: pieces that the model gets without [CLS] and [SEP]; [UNK] among them.
        unknown_parts: the characters (or words) that cause them, by captions.
        empty: captions without a piece after cleaning.
        different: captions that differ in their cleaned text, case aside.
        merged: different captions that are one to the model: equal up to the cut, or but for [UNK].
        repeated: the most frequent captions.
        labels: captions of at most LABEL_WORDS words.
        frequent_labels: the most frequent of them.
        starts, ends: beginnings and endings shared by BOILERPLATE_SHARE of the different captions.
        languages, scripts, widths: name -> captions.
        longest: the captions with most tokens.
    """

    count: int
    context_length: int
    tokens: Histogram
    median_tokens: float
    most_tokens: int
    truncated: int
    whole_length: int
    pieces: int
    unknown: int
    unknown_parts: list[Counted]
    empty: int
    different: int
    merged: int
    repeated: list[Counted]
    labels: int
    frequent_labels: list[Counted]
    starts: list[Counted]
    ends: list[Counted]
    languages: dict[str, int]
    scripts: dict[str, int]
    widths: dict[str, int]
    longest: list[Measured]


def caption_facts(
    captions: Rows, unknown: Counter[str], caption_at: CaptionAt, *, context_length: int, most: int
) -> CaptionFacts:
    """Measure sketches.

    Args:
        captions: CAPTION [N].
        unknown: part -> captions, see CaptionSketches.
        caption_at: the cleaned caption number i; asked for the few that are shown.
        context_length: as in the scan.
        most: examples of each kind.
    """
    read = captions["read"] == 1
    rows = np.flatnonzero(read)
    good = captions[rows]
    tokens = good["tokens"].astype(np.int64)
    full = tokens > SPECIAL_PIECES
    texts = groups_by_key(captions["text_key"], read)
    different = np.unique(good["text_key"], return_index=True)[1]
    labels = read & (captions["words"] <= LABEL_WORDS) & (captions["tokens"] > SPECIAL_PIECES)
    labels &= captions["words"] != NOT_CUT
    long_ones = rows[np.argsort(-tokens, kind="stable")[:most]]
    return CaptionFacts(
        count=len(good),
        context_length=context_length,
        tokens=histogram(tokens, _TOKENS),
        median_tokens=float(np.median(tokens)) if len(tokens) else 0.0,
        most_tokens=int(tokens.max(initial=0)),
        truncated=int((tokens > context_length).sum()),
        whole_length=_least_length(tokens),
        pieces=int((np.minimum(tokens, context_length) - SPECIAL_PIECES).sum()),
        unknown=int(good["unknown"].sum()),
        unknown_parts=[Counted(part, count) for part, count in _by_count(unknown)[:most]],
        empty=int((~full).sum()),
        different=len(different),
        merged=len(different) - len(np.unique(good["input_key"][different])),
        repeated=_most_repeated(texts, caption_at, most),
        labels=int(labels.sum()),
        frequent_labels=_most_repeated(groups_by_key(captions["text_key"], labels), caption_at, most),
        starts=_frequent_edges(good[different], rows[different], "starts", caption_at)[:most],
        ends=_frequent_edges(good[different], rows[different], "ends", caption_at)[:most],
        **_mixes(good[full]),
        longest=[Measured(caption_at(int(row)), int(captions["tokens"][row])) for row in long_ones],
    )


def _least_length(tokens: npt.NDArray[np.int64]) -> int:
    if not len(tokens):
        return SPECIAL_PIECES
    return int(np.sort(tokens)[int(np.ceil(KEPT_SHARE * len(tokens))) - 1])


def _mixes(good: Rows) -> dict[str, dict[str, int]]:
    """Captions by language, by script and by width."""
    languages = (
        "无文字 no letters",
        "中文 Chinese",
        "中外混合 Chinese and other",
        "拉丁 Latin",
        "其他 other",
    )
    forms = ("不分简繁 neither", "简体 simplified", "繁体 traditional", "简繁混用 both")
    width, both = good["width"], scripts.FULL_WIDTH | scripts.HALF_WIDTH
    marks = scripts.CHINESE_MARKS | scripts.HALF_WIDTH_MARKS
    widths = {
        "全角字母数字 full-width letters or digits": width & scripts.FULL_WIDTH != 0,
        "全角半角混用 full and half width in one": width & both == both,
        "中文旁的半角标点 half-width marks beside Chinese": width & scripts.HALF_WIDTH_MARKS != 0,
        "中英标点混用 both kinds of marks in one": width & marks == marks,
    }
    return {
        "languages": _named(good["language"], languages),
        "scripts": _named(good["script"], forms),
        "widths": {name: int(are.sum()) for name, are in widths.items() if are.any()},
    }


def _named(places: npt.NDArray[np.uint8], names: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(places, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def _most_repeated(groups: Groups, caption_at: CaptionAt, most: int) -> list[Counted]:
    return [Counted(caption_at(int(rows[0])), len(rows)) for rows in groups.largest(most)]


def _frequent_edges(
    different: Rows, rows: npt.NDArray[np.int64], column: str, at: CaptionAt
) -> list[Counted]:
    """Beginnings or endings that many different captions share; of two that say the same, the longer."""
    found: list[Counted] = []
    for place, length in reversed(list(enumerate(EDGE_CHARACTERS))):
        keys = different[column][:, place]
        groups = groups_by_key(keys, keys != 0)
        for members in groups.largest(int((groups.sizes >= BOILERPLATE_SHARE * len(different)).sum())):
            if len(members) < 3:
                continue
            caption = at(int(rows[members[0]]))
            edge = caption[:length] if column == "starts" else caption[-length:]
            if not any(len(members) == other.captions and edge in other.text for other in found):
                found.append(Counted(edge, len(members)))
    return sorted(found, key=lambda edge: (-edge.captions, edge.text))


def _by_count(counter: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))
