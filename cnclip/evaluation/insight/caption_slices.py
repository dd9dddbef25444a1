"""Text -> image queries by how long they are, what they say and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from tqdm import tqdm

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.caption_kinds import KINDS, read_captions
from cnclip.evaluation.insight.caption_words import CutCaptions, cut_captions
from cnclip.evaluation.insight.slice_making import Slice, bucketed
from cnclip.text.wordkinds import is_word

CHARACTERS = (0, 6, 11, 16, 21, 31, 51)  # of the cleaned caption, marks included: up to 5, 6 to 10, …
WORDS = (0, 4, 7, 11, 16, 26)  # by jieba, without marks


@dataclass(frozen=True)
class SlicedCaptions:
    """Captions as words, and the slices that need nothing but their text.

    Attributes:
        cut: the captions as words.
        slices: by length, words, and each of caption_kinds.KINDS that occurs.
    """

    cut: CutCaptions
    slices: Sequence[Slice]


@lru_cache(maxsize=1)  # several models are asked the same queries
def slice_captions(captions: tuple[str, ...]) -> SlicedCaptions:
    """Slices of Q captions.

    Raises:
        ResourceError: jieba is not installed.
        ArtifactError: its dictionary is missing or damaged.
    """
    cut = cut_captions(captions)
    read = read_captions(captions, cut)
    lengths = np.array([len(one.clean) for one in read], dtype=np.int64)
    counts = np.array([sum(map(is_word, one.words)) for one in read], dtype=np.int64)
    slices = bucketed("length", lengths, CHARACTERS, Words(" 个字", " characters"))
    slices += bucketed("words", counts, WORDS, Words(" 个词", " words"))
    holds = np.zeros((len(KINDS), len(read)), dtype=bool)
    bar = tqdm(read, desc="captions sliced", unit="txt", disable=None, leave=False)
    for place, one in enumerate(bar):
        holds[:, place] = [kind.holds(one) for kind in KINDS.values()]
    for members, (key, kind) in zip(holds, KINDS.items(), strict=True):
        if members.any():
            slices.append(Slice(kind.family, key, kind.shown, members, kind.exact))
    return SlicedCaptions(cut, slices)
