"""Nearest wrong pictures: what a model takes for what, and the words in which the two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.labels import Labels, best_items, labels_of
from cnclip.evaluation.insight.neighbours import Found, Neighbours
from cnclip.evaluation.insight.replaced_words import Miss, ReplacedWord, replaced_words
from cnclip.evaluation.insight.said import read_said
from cnclip.evaluation.retrieval import DirectionResult
from cnclip.evaluation.rows import Indices

MOST_TOLD = 50
MOST_READ = 20_000  # captions whose words are read; above it a sample of them


@dataclass(frozen=True)
class Mistake:
    """A query whose first item is wrong.

    Attributes:
        query: number of the caption; of the picture, image to text.
        right: number of its best correct item.
        wrong: number of the item that stands first.
        rank: of the best correct item.
        right_cosine, wrong_cosine: similarities to the query.
    """

    query: int
    right: int
    wrong: int
    rank: int
    right_cosine: float
    wrong_cosine: float

    @property
    def margin(self) -> float:
        """How far the wrong item stands before the correct one."""
        return self.wrong_cosine - self.right_cosine


@dataclass(frozen=True)
class MixedUp:
    """Two pictures, each of which stands before the other for captions of that other.

    Attributes:
        first, second: their numbers, first < second.
        of_first: captions of the first for which the second stands before it.
        of_second: captions of the second for which the first stands before it.
        first_captions, second_captions: how many they have.
    """

    first: int
    second: int
    of_first: int
    of_second: int
    first_captions: int
    second_captions: int


@dataclass(frozen=True)
class ConfusionFindings:
    """What one model takes for what.

    Attributes:
        queries, missed: labelled captions, and those whose first picture is wrong.
        pictures, pictures_missed: labelled pictures, and those whose first caption is wrong.
        nearest: captions whose wrong picture stands farthest before the correct one.
        captions: the same of pictures and wrong captions.
        mixed_up: pairs of pictures, those mistaken for each other most often first.
        mixed_up_pairs: how many there are.
        depth: items per query that were looked at for them.
        words: asked for one word, got another.
        read: captions whose words were read; all, or a sample.
        text_ids, image_ids: of the store.
    """

    queries: int
    missed: int
    pictures: int
    pictures_missed: int
    nearest: tuple[Mistake, ...]
    captions: tuple[Mistake, ...]
    mixed_up: tuple[MixedUp, ...]
    mixed_up_pairs: int
    depth: int
    words: tuple[ReplacedWord, ...]
    read: int
    text_ids: Sequence[str]
    image_ids: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "text_to_image": {"queries": self.queries, "missed": self.missed},
            "image_to_text": {"queries": self.pictures, "missed": self.pictures_missed},
            "nearest_wrong_pictures": [
                {"text_id": self.text_ids[one.query], **_item_json(one, "image_id", self.image_ids)}
                for one in self.nearest
            ],
            "nearest_wrong_captions": [
                {"image_id": self.image_ids[one.query], **_item_json(one, "text_id", self.text_ids)}
                for one in self.captions
            ],
            "mixed_up": {
                "pairs": self.mixed_up_pairs,
                "depth": self.depth,
                "first": [
                    {
                        "image_ids": [self.image_ids[one.first], self.image_ids[one.second]],
                        "captions": [one.first_captions, one.second_captions],
                        "mistaken": [one.of_first, one.of_second],
                    }
                    for one in self.mixed_up
                ],
            },
            "words": {
                "captions_read": self.read,
                "replaced": [one.to_json(self.text_ids, self.image_ids) for one in self.words],
            },
        }


def find_confusions(evidence: Evidence, neighbours: Neighbours) -> ConfusionFindings:
    """Find what a model takes for what.

    Args:
        evidence: one model on one store.
        neighbours: what its queries found.

    Raises:
        ResourceError: jieba is not installed.
        StoreError: a caption's record is damaged.
    """
    labels, result = labels_of(evidence), evidence.result
    images, texts = evidence.images.rows, evidence.texts.rows
    of_texts = best_items(texts, images, evidence.positives[:, ::-1])
    of_images = best_items(images, texts, evidence.positives)
    read = _sample(np.flatnonzero(result.t2i.ranks), evidence.draws.seed).tolist()
    misses = [
        Miss(text, int(of_texts[text]), int(neighbours.t2i.wrong[text]))
        for text in read
        if result.t2i.ranks[text] > 1
    ]
    needed = {text for miss in misses for image in miss[1:] for text in labels.texts_of(image)}
    said = read_said(evidence.store, sorted(needed.union(read)))
    mixed = _mixed_up(neighbours.t2i, result.t2i, labels)
    return ConfusionFindings(
        queries=result.t2i.queries,
        missed=int((result.t2i.ranks > 1).sum()),
        pictures=result.i2t.queries,
        pictures_missed=int((result.i2t.ranks > 1).sum()),
        nearest=_mistakes(neighbours.t2i, result.t2i, of_texts),
        captions=_mistakes(neighbours.i2t, result.i2t, of_images),
        mixed_up=tuple(mixed[:MOST_TOLD]),
        mixed_up_pairs=len(mixed),
        depth=neighbours.t2i.items.shape[1],
        words=replaced_words(misses, read, said, labels),
        read=len(read),
        text_ids=evidence.texts.ids,
        image_ids=evidence.images.ids,
    )


def _mistakes(found: Found, direction: DirectionResult, right: Indices) -> tuple[Mistake, ...]:
    """The queries whose first item is wrong, those with the largest margin first, as many as are told."""
    missed = np.flatnonzero(direction.ranks > 1)
    margin = found.wrong_scores[missed] - direction.scores[missed]
    chosen = missed[np.argsort(-margin, kind="stable")[:MOST_TOLD]]
    return tuple(
        Mistake(
            query,
            int(right[query]),
            int(found.wrong[query]),
            int(direction.ranks[query]),
            float(direction.scores[query]),
            float(found.wrong_scores[query]),
        )
        for query in chosen.tolist()
    )


def _mixed_up(found: Found, direction: DirectionResult, labels: Labels) -> list[MixedUp]:
    """Pairs of pictures that stand before each other, those mistaken most often in both ways first."""
    before = ~np.logical_or.accumulate(found.correct, axis=1) & (direction.ranks > 0)[:, None]
    counts: Counter[tuple[int, int]] = Counter()
    for text, wrong in zip(np.nonzero(before)[0].tolist(), found.items[before].tolist(), strict=True):
        counts.update((right, wrong) for right in labels.images_of(text))
    mixed = [
        MixedUp(
            first,
            second,
            count,
            counts[second, first],
            len(labels.texts_of(first)),
            len(labels.texts_of(second)),
        )
        for (first, second), count in counts.items()
        if first < second and (second, first) in counts
    ]
    return sorted(
        mixed,
        key=lambda one: (
            -min(one.of_first, one.of_second),
            -one.of_first - one.of_second,
            one.first,
            one.second,
        ),
    )


def _sample(queries: Indices, seed: int) -> Indices:
    """The queries, or MOST_READ of them, ascending."""
    if len(queries) <= MOST_READ:
        return queries
    rng = np.random.default_rng([seed, len(queries)])
    return np.sort(rng.choice(queries, MOST_READ, replace=False))


def _item_json(one: Mistake, name: str, ids: Sequence[str]) -> Mapping[str, Any]:
    return {
        f"correct_{name}": ids[one.right],
        f"wrong_{name}": ids[one.wrong],
        "rank": one.rank,
        "margin": round(one.margin, 4),
    }
