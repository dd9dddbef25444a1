"""Which queries a model answers worse or better than the others: by length, words, kinds, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.insight.caption_slices import slice_captions
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.picture_slices import choose_pictures, look_at, slice_by_picture
from cnclip.evaluation.insight.slice_making import Looked
from cnclip.evaluation.insight.slice_results import SlicedDirection, judge_slices
from cnclip.evaluation.insight.slice_statistics import LEAST, Outcomes
from cnclip.evaluation.insight.vocabulary import Rarity, slice_by_rarity
from cnclip.evaluation.insight.word_slices import WordFindings, slice_by_word
from cnclip.evaluation.per_query import Queries
from cnclip.evaluation.rows import Indices
from cnclip.stores.reader import StoreReader

MOST_QUERIES = 100_000  # of a direction that are looked at; of more, a sample


@dataclass(frozen=True)
class SliceFindings:
    """What slices tell of one model.

    Attributes:
        t2i: by the captions that ask, and by their pictures.
        i2t: by the pictures that ask.
        words: single words of the captions.
        rarity_basis: "seen" where the frequency of words is that in training captions, "own" where it is that
            in the queries' own.
        rarity_captions: captions in which words were counted.
        rarity_of: captions in all; more where a sample was counted.
        pictures: that were looked at for size and source.
        pictures_of: pictures of all queries; more where a sample was looked at.
    """

    t2i: SlicedDirection
    i2t: SlicedDirection
    words: WordFindings
    rarity_basis: str
    rarity_captions: int
    rarity_of: int
    pictures: int
    pictures_of: int

    def to_json(self) -> dict[str, Any]:
        """For results.json["insight"]["slices"]."""
        return {
            "least": LEAST,
            "t2i": self.t2i.to_json(),
            "i2t": self.i2t.to_json(),
            "words": self.words.to_json(),
            "rarity": {
                "basis": self.rarity_basis,
                "captions": self.rarity_captions,
                "of": self.rarity_of,
            },
            "pictures": {"looked_at": self.pictures, "of": self.pictures_of},
        }


def find_slices(evidence: Evidence, *, seen: Sequence[StoreReader] = ()) -> SliceFindings:
    """Compare the queries of every slice with all other queries.

    Args:
        evidence: one model on one store.
        seen: stores that the model was trained on; without them, rare words are those that are rare among
            the queries themselves.

    Raises:
        ResourceError: jieba is not installed.
        StoreError: a caption's record is damaged.
    """
    draws = evidence.draws
    captions, texts = _sampled(evidence.queries["t2i"], np.flatnonzero(evidence.result.t2i.ranks), draws.seed)
    pictures, _ = _sampled(evidence.queries["i2t"], np.flatnonzero(evidence.result.i2t.ranks), draws.seed)
    asked = tuple(evidence.store.text(int(text)).caption for text in texts)
    written = slice_captions(asked)
    rarity: Rarity = slice_by_rarity(written.cut, seen, seed=draws.seed)
    every = np.ones(len(asked), dtype=bool)
    owned = np.union1d(captions.groups, pictures.groups)
    chosen = choose_pictures(owned, draws.seed)
    looked = look_at(evidence.store, tuple(chosen.tolist()))
    counts = _captions_of_pictures(evidence.positives, evidence.store.image_count)
    by_caption = Looked(every, [*written.slices, *rarity.slices])
    return SliceFindings(
        t2i=judge_slices(
            [by_caption, *slice_by_picture(looked, captions.groups, counts)],
            captions,
            draws,
            asked=len(evidence.queries["t2i"].ids),
        ),
        i2t=judge_slices(
            slice_by_picture(looked, pictures.groups, counts),
            pictures,
            draws,
            asked=len(evidence.queries["i2t"].ids),
        ),
        words=slice_by_word(written.cut, captions, draws),
        rarity_basis=rarity.basis,
        rarity_captions=rarity.captions,
        rarity_of=rarity.sampled_from,
        pictures=len(chosen),
        pictures_of=len(owned),
    )


def _sampled(queries: Queries, places: Indices, seed: int) -> tuple[Outcomes, Indices]:
    """Outcomes of all labelled queries, or of a sample, and their places among all queries, ascending."""
    assert len(places) == len(queries.ranks), "queries are those of the result"
    chosen = np.arange(len(places))
    if len(places) > MOST_QUERIES:
        rng = np.random.default_rng([seed, len(places)])
        chosen = np.sort(rng.choice(len(places), MOST_QUERIES, replace=False))
    return Outcomes(queries.ranks[chosen], queries.groups[chosen]), places[chosen]


def _captions_of_pictures(positives: Indices, images: int) -> Indices:
    """int64 [images]: different captions of each picture."""
    return np.bincount(np.unique(positives, axis=0)[:, 0], minlength=images)
