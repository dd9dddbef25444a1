"""Queries that one model answers and another does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnclip.evaluation.retrieval import DirectionResult
from cnclip.evaluation.rows import Indices
from cnclip.stores.reader import StoreReader


@dataclass(frozen=True)
class Contrast:
    """Two models on the same captions; right is a correct picture in the first place.

    Attributes:
        both, only_first, only_second, neither: captions that are right for these.
        first_wins: int64, captions right only for the first, those first for which the second puts the
            correct picture farthest back; no caption twice.
        second_wins: the same the other way round.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    first_wins: Indices
    second_wins: Indices


def find_contrast(
    first: DirectionResult, second: DirectionResult, store: StoreReader, *, count: int
) -> Contrast:
    """Compare two models' text -> image results.

    The margin is in places, not in cosines, which two models do not share.

    Args:
        first, second: their results on the store.
        store: the captions.
        count: captions of each kind that are named, at most.
    """
    labelled = first.ranks > 0
    one, other = (first.ranks == 1) & labelled, (second.ranks == 1) & labelled
    return Contrast(
        both=int((one & other).sum()),
        only_first=int((one & ~other).sum()),
        only_second=int((other & ~one).sum()),
        neither=int((labelled & ~one & ~other).sum()),
        first_wins=_farthest(np.flatnonzero(one & ~other), second.ranks, store, count),
        second_wins=_farthest(np.flatnonzero(other & ~one), first.ranks, store, count),
    )


def _farthest(texts: Indices, ranks: Indices, store: StoreReader, count: int) -> Indices:
    """The captions whose correct picture has the largest rank, no caption twice."""
    chosen: dict[str, int] = {}
    for text in texts[np.argsort(-ranks[texts], kind="stable")].tolist():
        if len(chosen) == count:
            break
        chosen.setdefault(store.text(text).caption, text)
    return np.array(list(chosen.values()), dtype=np.int64)
