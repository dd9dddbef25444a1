"""Slices: named sets of queries, by a range of a number or by what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.slice_statistics import Mask
from cnclip.evaluation.rows import Indices, Scores


@dataclass(frozen=True)
class Slice:
    """Some queries that have something in common.

    Attributes:
        family: what they are told apart by: length, words, says, …
        key: which of the family.
        shown: its name for readers.
        members: bool [Q].
        exact: False for a rule of thumb.
    """

    family: str
    key: str
    shown: Words
    members: Mask
    exact: bool = True

    @property
    def name(self) -> str:
        """family/key."""
        return f"{self.family}/{self.key}"


@dataclass(frozen=True)
class Looked:
    """Slices that were made of the same queries.

    Attributes:
        queries: bool [Q] those that were looked at; the rest of a slice is sought among them.
        slices: each with members bool [Q].
    """

    queries: Mask
    slices: Sequence[Slice]


def bucketed(family: str, values: Indices | Scores, edges: Sequence[float], unit: Words) -> list[Slice]:
    """One slice for each range of a number; together they hold every query once. Empty ones are left out.

    Args:
        family: name of the family.
        values: [Q] of each query.
        edges: where ranges begin, ascending; the first one begins at the least value, whatever it is.
        unit: follows the numbers.
    """
    place = np.searchsorted(np.asarray(edges[1:]), values, side="right")
    found = []
    for number, key in enumerate(_ranges(edges)):
        members = place == number
        if members.any():
            en = unit.en.removesuffix("s") if key == "1" else unit.en
            found.append(Slice(family, key, Words(key + unit.zh, key + en), members))
    return found


def _ranges(edges: Sequence[float]) -> Iterator[str]:
    """Names of ranges: whole numbers as 6–10, others as 1.1–1.4."""
    whole = all(float(edge).is_integer() for edge in edges)
    for low, high in pairwise(edges):
        last = f"{high - 1:g}" if whole else f"{high:g}"
        yield last if last == f"{low:g}" else f"{low:g}–{last}"
    yield f"≥{edges[-1]:g}"
