"""Single words: recall of the queries that hold a word against that of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight.caption_words import CutCaptions
from cnclip.evaluation.insight.slice_making import Slice
from cnclip.evaluation.insight.slice_results import SliceResult, slice_results
from cnclip.evaluation.insight.slice_statistics import LEAST, Outcomes, measure_slices
from cnclip.evaluation.insight.slice_verdicts import benjamini_hochberg
from cnclip.evaluation.uncertainty import Draws

SHOWN = 15


@dataclass(frozen=True)
class WordFindings:
    """The words that queries with them find worst and best.

    Attributes:
        tested: content words that stand in LEAST queries, of LEAST pictures, and are missing in as many.
        worse, better: how many of these are so reliably, after Benjamini and Hochberg's correction.
        worst, best: at most SHOWN of each: the reliable ones first, then by how far the difference exceeds
            what chance explains.
    """

    tested: int
    worse: int
    better: int
    worst: Sequence[SliceResult]
    best: Sequence[SliceResult]

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "least": LEAST,
            "tested": self.tested,
            "correction": "Benjamini-Hochberg",
            "worse": self.worse,
            "better": self.better,
            "worst": [one.to_json() for one in self.worst],
            "best": [one.to_json() for one in self.best],
        }


def slice_by_word(cut: CutCaptions, outcomes: Outcomes, draws: Draws) -> WordFindings:
    """Recall with and without each content word.

    Args:
        cut: Q queries as words.
        outcomes: of the same queries.
        draws: of the intervals; 0 samples make none.
    """
    words, members = _frequent(cut)
    if not words:
        return WordFindings(0, 0, 0, (), ())
    numbers = measure_slices(members, outcomes, draws)
    named = [Slice("word", word, Words(word, word), np.empty(0, dtype=bool)) for word in words]
    medians = [float("nan")] * len(words)
    results = slice_results(named, numbers, benjamini_hochberg(numbers.p), medians)
    results = [one for one in results if one.verdict != "few"]
    found = sorted(results, key=lambda one: (one.margin - abs(one.difference), one.key))
    worst = sorted((one for one in found if one.difference < 0), key=lambda one: one.verdict != "worse")
    best = sorted((one for one in found if one.difference > 0), key=lambda one: one.verdict != "better")
    return WordFindings(
        tested=len(results),
        worse=sum(one.verdict == "worse" for one in results),
        better=sum(one.verdict == "better" for one in results),
        worst=worst[:SHOWN],
        best=best[:SHOWN],
    )


def _frequent(cut: CutCaptions) -> tuple[list[str], Any]:
    """Content words of LEAST queries or more, and the queries that hold each: sparse float64 [W, Q]."""
    holders: dict[str, list[int]] = {}
    for query, words in enumerate(cut.words):
        for word in dict.fromkeys(words):
            holders.setdefault(word, []).append(query)
    frequent = sorted(word for word, found in holders.items() if len(found) >= LEAST and cut.is_content(word))
    starts = np.cumsum([0, *(len(holders[word]) for word in frequent)])
    places = np.concatenate([holders[word] for word in frequent]) if frequent else np.empty(0, dtype=np.int64)
    shape = (len(frequent), len(cut.words))
    return frequent, csr_array((np.ones(len(places)), places, starts), shape=shape)
