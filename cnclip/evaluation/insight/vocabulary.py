"""Rare and unseen words: queries by the frequency of the rarest of their content words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from tqdm import tqdm

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.caption_words import CutCaptions
from cnclip.evaluation.insight.slice_making import Slice, bucketed
from cnclip.evaluation.rows import Indices
from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words

Basis = Literal["seen", "own"]
MOST_SEEN = 1_000_000  # training captions that are read; of more, a sample
_SEEN = (0, 1, 5, 50)
_OWN = (1, 2, 5, 50)  # a word stands in its own caption at least
_NO_WORD = -1
_NAMES = {"0": Words("没见过", "unseen"), "1": Words("只在这一条里", "in this caption only")}


@dataclass(frozen=True)
class Rarity:
    """Queries by their rarest content word.

    Attributes:
        basis: "seen" counts captions of the training stores, "own" those of the queries themselves.
        captions: that were counted in.
        sampled_from: training captions in all, where only a sample was counted; else equal to `captions`.
        slices: by the number of captions that hold the word; a query without a content word has its own.
    """

    basis: Basis
    captions: int
    sampled_from: int
    slices: Sequence[Slice]


def slice_by_rarity(cut: CutCaptions, seen: Sequence[StoreReader], *, seed: int) -> Rarity:
    """Tell queries apart by the frequency of their rarest content word.

    Args:
        cut: Q queries as words.
        seen: stores that the model was trained on; none counts the queries' own captions, itself included.
        seed: of the sample.
    """
    content = [tuple(filter(cut.is_content, set(words))) for words in cut.words]
    known = frozenset(word for words in content for word in words)
    if seen:
        counts, counted, total = _counts_in(tuple(seen), known, seed)
    else:
        counts, counted, total = dict.fromkeys(known, 0), len(content), len(content)
        for words in content:
            for word in words:
                counts[word] += 1
    rarest = np.array(
        [min((counts[word] for word in words), default=_NO_WORD) for words in content], dtype=np.int64
    )
    slices = _slices(rarest, _SEEN if seen else _OWN)
    return Rarity("seen" if seen else "own", counted, total, slices)


def _slices(rarest: Indices, edges: Sequence[int]) -> list[Slice]:
    """By the frequency of the rarest word, and those that have none: every query once."""
    unit = Words(" 条", " captions")
    within = rarest != _NO_WORD
    found = []
    for one in bucketed("rarity", rarest, edges, unit):
        if (one.members & within).any():
            found.append(Slice(one.family, one.key, _NAMES.get(one.key, one.shown), one.members & within))
    if not within.all():
        found.append(Slice("rarity", "none", Words("没有实词", "no content word"), ~within))
    return found


@lru_cache(maxsize=1)  # several models are asked the same queries
def _counts_in(
    stores: tuple[StoreReader, ...], words: frozenset[str], seed: int
) -> tuple[dict[str, int], int, int]:
    """(word -> captions of the stores that hold it, captions counted, captions in all)."""
    total = sum(store.text_count for store in stores)
    chosen = np.arange(total)
    if total > MOST_SEEN:
        chosen = np.sort(np.random.default_rng([seed, total]).choice(total, MOST_SEEN, replace=False))
    counts = dict.fromkeys(words, 0)
    start = 0
    with tqdm(total=len(chosen), desc="words seen", unit="txt", disable=None, leave=False) as bar:
        for store in stores:
            for index in chosen[(chosen >= start) & (chosen < start + store.text_count)] - start:
                caption = normalize_caption(store.text(int(index)).caption)
                for word in words.intersection(segment_words(caption)):
                    counts[word] += 1
                bar.update()
            start += store.text_count
    return counts, len(chosen), total
