"""Pictures of a store that repeat others, and which one of each group stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cnclip.stores.derived.rows import NONE, Choice, Mask, Places
from cnclip.stores.doctor.groups import Groups, groups_by_key
from cnclip.stores.doctor.near_hash import near_pairs
from cnclip.stores.doctor.pictures import BLANK, DECODED, Rows
from cnclip.stores.reader import StoreReader

Progress = Callable[[str, int, int], None]
_BLOCK, _STRIP = 1024, 16_384  # pictures that are compared at a time: so many with so many


class Likeness(Protocol):
    """Which pictures look alike to a model; pictures are told by their numbers."""

    def alike(self, first: Places, second: Places) -> Mask:
        """bool [len(first), len(second)]."""

    def similarity(self, first: int, second: int) -> float:
        """How like two pictures are, 1 at most."""


@dataclass(frozen=True)
class Repeats:
    """What goes and what stays.

    Attributes:
        choice: all captions, and the pictures that stay.
        crowded: comparisons of near pictures that were left out, see near_pairs.
    """

    choice: Choice
    crowded: int

    @property
    def removed(self) -> Places:
        """The pictures that go."""
        stand_ins = self.choice.stand_ins
        return np.flatnonzero(stand_ins != np.arange(len(stand_ins)))


def find_repeats(
    reader: StoreReader,
    pictures: Rows,
    *,
    near: int,
    likeness: Likeness | None = None,
    progress: Progress | None = None,
) -> Repeats:
    """For each picture the one that stays for it.

    The largest picture stays: most pixels, then most bytes, then the smallest id. What goes has the same
    bytes or the same pixels as the one that stays, or is near or like it: not only another that goes. Blank
    pictures are near to nothing and like nothing.

    Args:
        reader: of the store.
        pictures: its sketches, see sketch_stores.
        near: bits in which the hashes of near pictures differ at most; 0 = the same bytes or pixels only.
        likeness: takes the place of `near`.
        progress: called with (`pictures compared`, done, total) where there is a likeness.
    """
    assert not (near and likeness), "a picture that is near to one that is like a third is not like the third"
    count = len(pictures)
    ranks = _ranks(reader, pictures)
    stand_ins = np.arange(count)
    decoded = pictures["traits"] & DECODED != 0
    for keys, usable in (
        (pictures["pixel_key"], decoded),
        (pictures["file_key"], ~decoded & (pictures["file_bytes"] > 0)),
    ):
        _to_best(stand_ins, groups_by_key(keys, usable), ranks)
    crowded = 0
    if near or likeness:
        alive = np.flatnonzero((stand_ins == np.arange(count)) & decoded & (pictures["traits"] & BLANK == 0))
        if likeness:
            stand_ins[alive] = _like_leaders(alive, ranks[alive], likeness, progress)
        else:
            leaders, crowded = _near_leaders(pictures[alive], ranks[alive], near)
            stand_ins[alive] = alive[leaders]
        stand_ins = stand_ins[stand_ins]
    return Repeats(Choice(stand_ins, np.ones(reader.text_count, dtype=bool)), crowded)


def group_lines(
    reader: StoreReader, pictures: Rows, repeats: Repeats, likeness: Likeness | None = None
) -> Iterator[dict[str, Any]]:
    """One object for each picture that stays for others: its id, and of each other the id and the reason.

    Args:
        reader, pictures, likeness: as given to find_repeats.
        repeats: what it found.
    """
    stand_ins, gone = repeats.choice.stand_ins, repeats.removed
    gone = gone[np.lexsort((gone, stand_ins[gone]))]
    starts = np.flatnonzero(np.diff(stand_ins[gone], prepend=NONE))
    for members in np.split(gone, starts[1:]) if len(gone) else []:
        kept = int(stand_ins[members[0]])
        removed = []
        for place in members.tolist():
            removed.append({"image_id": reader.image_id(place), **_reason(pictures, kept, place, likeness)})
        yield {"kept": reader.image_id(kept), "removed": removed}


def _reason(pictures: Rows, kept: int, place: int, likeness: Likeness | None) -> dict[str, Any]:
    """Why a picture went, and how far it is from the one that stays: in bits, or as a similarity."""
    one, two = pictures[kept], pictures[place]
    if one["file_key"] == two["file_key"]:
        return {"why": "same bytes", "bits": 0}
    if one["pixel_key"] == two["pixel_key"]:
        return {"why": "same pixels", "bits": 0}
    if likeness is not None:
        return {"why": "similar", "similarity": round(likeness.similarity(kept, place), 4)}
    return {"why": "near", "bits": int(np.bitwise_count(one["near_key"] ^ two["near_key"]))}


def _ranks(reader: StoreReader, pictures: Rows) -> Places:
    """int64 [N]: 0 for the picture that stays before all others, and so on."""
    pixels = pictures["width"].astype(np.int64) * pictures["height"]
    file_bytes = pictures["file_bytes"].astype(np.int64)
    by_id = np.argsort(np.array(list(reader.image_ids()), dtype=object), kind="stable")
    id_ranks = np.empty(len(pictures), dtype=np.int64)
    id_ranks[by_id] = np.arange(len(pictures))
    ranks = np.empty(len(pictures), dtype=np.int64)
    ranks[np.lexsort((id_ranks, -file_bytes, -pixels))] = np.arange(len(pictures))
    return ranks


def _to_best(stand_ins: Places, groups: Groups, ranks: Places) -> None:
    """Let the best of each group stand for all of it."""
    members = np.flatnonzero(groups.labels != NONE)
    members = members[np.argsort(ranks[members])]
    labels, first = np.unique(groups.labels[members], return_index=True)
    best = np.empty(len(labels), dtype=np.int64)
    best[labels] = members[first]
    stand_ins[members] = best[groups.labels[members]]


def _near_leaders(pictures: Rows, ranks: Places, radius: int) -> tuple[Places, int]:
    """(int64 [N]: the near picture that stays for each, itself where none does; crowded comparisons)."""
    firsts, seconds, crowded = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], 0
    colours = np.ascontiguousarray(pictures["colours"])
    for first, second, left_out in near_pairs(pictures["near_key"], colours, radius):
        better = ranks[first] < ranks[second]
        firsts.append(np.where(better, first, second))
        seconds.append(np.where(better, second, first))
        crowded += left_out
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    leaders = np.arange(len(pictures))
    # In the order of the worse one, then of the better one: when a picture's turn comes, all better ones have
    # had theirs, and it follows the best of those that stay.
    for place in np.lexsort((ranks[first], ranks[second])).tolist():
        best, other = int(first[place]), int(second[place])
        if leaders[best] == best and leaders[other] == other:
            leaders[other] = best
    return leaders, crowded


def _like_leaders(
    places: Places, ranks: Places, likeness: Likeness, progress: Progress | None = None
) -> Places:
    """int64 [N]: the picture that stays for each of `places`: itself, or the best like it that stays.

    Best first, each block of pictures is compared with all that stay so far, then among itself: exact, and
    what is held at a time does not grow with the number of pictures that are like each other.
    """
    order = np.argsort(ranks)
    leaders = places.copy()
    staying = np.empty(len(places), dtype=np.int64)
    count = 0
    for start in range(0, len(order), _BLOCK):
        open_ones = order[start : start + _BLOCK]
        for strip in range(0, count, _STRIP):
            best = staying[strip : min(count, strip + _STRIP)]
            like = likeness.alike(places[open_ones], best)
            follows = like.any(axis=1)
            leaders[open_ones[follows]] = best[like[follows].argmax(axis=1)]
            open_ones = open_ones[~follows]
            if not len(open_ones):
                break
        like = likeness.alike(places[open_ones], places[open_ones])
        free = np.ones(len(open_ones), dtype=bool)
        for place in range(len(open_ones)):
            if not free[place]:
                continue
            followers = np.flatnonzero(like[place] & free)
            followers = followers[followers > place]
            leaders[open_ones[followers]] = places[open_ones[place]]
            free[followers] = False
            staying[count] = places[open_ones[place]]
            count += 1
        if progress is not None:
            progress("pictures compared", min(start + _BLOCK, len(order)), len(order))
    return leaders
