"""Phrases with which suspiciously many captions begin or end, found without a list of them.

The doctor (`cnclip data check`) tells the first and last characters that many different captions share. Most
of these are the language itself: captions that begin with 一个男人 go on in a hundred ways from there. A
phrase that was put before captions by a machine goes on in one way, 图片来源：网络, until the caption begins.
So an edge is boilerplate if nearly all captions that share it go on alike for PHRASE_CHARACTERS and more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnclip.errors import SourceError
from cnclip.stores.doctor.caption_facts import BOILERPLATE_SHARE, CaptionAt, Counted
from cnclip.stores.doctor.captions import EDGE_CHARACTERS
from cnclip.stores.doctor.groups import groups_by_key
from cnclip.stores.doctor.pictures import content_key
from cnclip.stores.raw.lines import LineFile
from cnclip.stores.raw.rows import BadRow

Keys = npt.NDArray[np.uint64]
Edge = Literal["start", "end"]
Progress = Callable[[str, int, int], None]

PHRASE_CHARACTERS = 6  # a shorter edge is language
ALIKE_SHARE = 0.98  # of the captions of an edge; they have the next character in common, too
LEAST_CAPTIONS = 10  # different ones, that a phrase must stand in
_SAMPLE = 2000  # captions of an edge that are compared
_MOST_EDGES = 200
_SEED = EDGE_CHARACTERS[0]


@dataclass(frozen=True)
class Phrases:
    """Phrases and in how many different captions each stands at the edge, about.

    Attributes:
        starts: of captions.
        ends: of captions.
    """

    starts: list[Counted]
    ends: list[Counted]


def read_phrases(file: Path) -> list[str]:
    """The phrases in a UTF-8 file, one per line, without white space around them.

    Raises:
        SourceError: no such file, another encoding, no phrase.
    """
    lines = LineFile(file, root=file.parent)

    def refuse(bad: BadRow) -> None:
        raise SourceError(bad.reason, where=f"{file.parent / bad.where}", fix="one phrase per line, in UTF-8")

    phrases = dict.fromkeys(line.strip() for _, line in lines.lines(refuse) if line.strip())
    if not phrases:
        raise SourceError("no phrases", where=str(file), fix="one phrase per line, in UTF-8")
    return list(phrases)


def find_boilerplate(
    without: Callable[[Phrases], CaptionAt], count: int, *, progress: Progress | None = None
) -> Phrases:
    """The phrases of captions, and those that come to light when these are cut, until there are no more.

    Args:
        without: phrases -> captions by number, with these phrases cut; empty where nothing is left.
        count: of the captions; empty ones do not count.
        progress: called with (step, captions done, captions in all).
    """
    found = Phrases([], [])
    while True:
        more = _find_phrases(without(found), count, progress)
        starts = _new(more.starts, found.starts)
        ends = _new(more.ends, found.ends)
        if not starts and not ends:
            return found
        found = Phrases([*found.starts, *starts], [*found.ends, *ends])


def _new(more: list[Counted], known: list[Counted]) -> list[Counted]:
    texts = {phrase.text for phrase in known}
    return [phrase for phrase in more if phrase.text not in texts]


def _find_phrases(caption_at: CaptionAt, count: int, progress: Progress | None) -> Phrases:
    """What captions have in common as they are."""
    whole, edges = np.zeros(count, dtype=np.uint64), np.zeros((count, 2), dtype=np.uint64)
    for index in range(count):
        caption = caption_at(index)
        if caption:
            whole[index] = content_key(caption.encode())
        if len(caption) > _SEED:
            edges[index] = content_key(caption[:_SEED].encode()), content_key(caption[-_SEED:].encode())
        if progress is not None:
            progress("captions searched for boilerplate", index + 1, count)
    _, different = np.unique(whole, return_index=True)
    different = different[whole[different] != 0]
    different.sort()  # the result does not depend on the hash
    return Phrases(
        _grown(edges[different, 0], different, caption_at, "start"),
        _grown(edges[different, 1], different, caption_at, "end"),
    )


def _grown(keys: Keys, rows: npt.NDArray[np.int64], caption_at: CaptionAt, edge: Edge) -> list[Counted]:
    """Of the edges that many of these captions have those that go on alike, as far as they do."""
    groups = groups_by_key(keys, keys != 0)
    least = max(LEAST_CAPTIONS, BOILERPLATE_SHARE * len(rows))
    found = []
    for members in groups.largest(min(_MOST_EDGES, int((groups.sizes >= least).sum()))):
        chosen = rows[members[np.linspace(0, len(members) - 1, min(len(members), _SAMPLE)).astype(np.int64)]]
        captions = [caption_at(int(row)) for row in chosen]
        phrase = _common([caption[::-1] for caption in captions] if edge == "end" else captions)
        if len(phrase) >= PHRASE_CHARACTERS:
            found.append(Counted(phrase[::-1] if edge == "end" else phrase, len(members)))
    return sorted(found, key=lambda phrase: (-phrase.captions, phrase.text))


def _common(captions: list[str]) -> str:
    """The longest beginning that ALIKE_SHARE of the captions have."""
    needed, phrase, left = ALIKE_SHARE * len(captions), "", captions
    while True:
        nexts = Counter(caption[len(phrase) : len(phrase) + 1] for caption in left)
        character, count = min(nexts.items(), key=lambda item: (-item[1], item[0]))
        if count < needed or not character:
            return phrase
        phrase += character
        left = [caption for caption in left if caption.startswith(phrase)]
