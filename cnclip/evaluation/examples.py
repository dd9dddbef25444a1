"""The queries that a report shows with their pictures: the user's own, the best ones, the worst ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from cnclip.evaluation.embed import embed_texts
from cnclip.evaluation.retrieval import DirectionResult, top_items
from cnclip.evaluation.rows import Indices, Rows
from cnclip.model import ChineseClip
from cnclip.stores.reader import StoreReader

Extreme = Literal["best", "worst"]


class Picture(NamedTuple):
    """A found picture: its file's bytes, a caption, its cosine similarity, and whether it is a correct one.

    `correct` is None where nobody said what is correct.
    """

    image: bytes
    label: str
    score: float
    correct: bool | None


class QueryResult(NamedTuple):
    """A query and its pictures, best first."""

    query: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Gallery:
    """The pictures of a store with their embeddings.

    Attributes:
        store: pictures and captions.
        rows: float32 [store.image_count, D], unit length, in the store's order.
    """

    store: StoreReader
    rows: Rows

    def picture(self, index: int, score: float, correct: bool | None, prefix: str = "") -> Picture:
        """One picture under the first of its captions, or under its id where it has none."""
        return stored_picture(self.store, index, score, correct, prefix)


def stored_picture(
    store: StoreReader, index: int, score: float, correct: bool | None, prefix: str = ""
) -> Picture:
    """A picture of a store under the first of its captions, or under its id where it has none."""
    stored = store.image(index)
    texts = store.texts_of(index)
    label = store.text(int(texts[0])).caption if len(texts) else stored.image_id
    return Picture(stored.image, prefix + label, score, correct)


def search_pictures(
    model: ChineseClip, queries: Sequence[str], gallery: Gallery, *, top: int = 8
) -> list[QueryResult]:
    """The pictures nearest to each query.

    Args:
        model: the one that made the gallery's rows.
        queries: what to look for, as a user writes it.
        gallery: where to look.
        top: pictures per query.
    """
    rows = embed_texts(model, queries, progress=None).rows
    found, scores = top_items(rows, gallery.rows, top)
    return [
        QueryResult(
            query,
            [gallery.picture(int(index), float(score), None) for index, score in zip(*pair, strict=True)],
        )
        for query, pair in zip(queries, zip(found, scores, strict=True), strict=True)
    ]


def extreme_queries(
    direction: DirectionResult,
    gallery: Gallery,
    text_rows: Rows,
    which: Extreme,
    *,
    count: int = 8,
) -> list[QueryResult]:
    """The captions that found their picture best, or worst, with what they found.

    A caption whose correct picture is not among those shown gets it at the end, under its rank.

    Args:
        direction: the text -> image result of the gallery's store.
        gallery: the store's pictures.
        text_rows: float32 [text_count, D], unit length.
        which: by (rank, then score of the correct picture).
        count: how many captions, and pictures for each.
    """
    chosen = extreme_texts(direction, gallery.store, which, count)
    return found_pictures(chosen, direction, gallery, text_rows, top=count)


def found_pictures(
    texts: Indices, direction: DirectionResult, gallery: Gallery, text_rows: Rows, *, top: int
) -> list[QueryResult]:
    """What captions found; the correct picture at the end, under its rank, where none is shown.

    Args:
        texts: int64, the numbers of labelled captions.
        direction: the text -> image result of the gallery's store.
        gallery: the store's pictures.
        text_rows: float32 [text_count, D], unit length.
        top: pictures for each, without the one at the end.
    """
    found, scores = top_items(text_rows[texts], gallery.rows, top)
    results = []
    for text, indices, values in zip(texts, found, scores, strict=True):
        positives = set(gallery.store.pair_images[gallery.store.pair_texts == text].tolist())
        pictures = [
            gallery.picture(int(index), float(value), int(index) in positives)
            for index, value in zip(indices, values, strict=True)
        ]
        if not any(picture.correct for picture in pictures):
            candidates = sorted(positives)
            nearest = candidates[int(np.argmax(gallery.rows[candidates] @ text_rows[text]))]
            rank = f"#{direction.ranks[text]} "
            pictures.append(gallery.picture(nearest, float(direction.scores[text]), True, rank))
        results.append(QueryResult(gallery.store.text(int(text)).caption, pictures))
    return results


def extreme_texts(direction: DirectionResult, store: StoreReader, which: Extreme, count: int) -> Indices:
    """Labelled texts by (rank, score), no caption twice; int64 [<= count]."""
    sign = 1 if which == "best" else -1
    labelled = np.flatnonzero(direction.ranks)
    order = labelled[np.lexsort((-sign * direction.scores[labelled], sign * direction.ranks[labelled]))]
    chosen: dict[str, int] = {}
    for text in order:
        chosen.setdefault(store.text(int(text)).caption, int(text))
        if len(chosen) == count:
            break
    return np.array(list(chosen.values()), dtype=np.int64)
