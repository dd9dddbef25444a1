"""Recall@K of image-text retrieval: exact ranks, both directions, any number of positives.

The definition is that of MUGE, Flickr30K-CN and COCO-CN: a query is a hit at K if *any* of its correct items
is among the K best. Where the protocol leaves room, this room decides so:

- ties count against the model: an incorrect item with the same score stands before the correct one, so a
  model that gives every pair the same score has recall 0, not luck;
- a query without any correct item is left out of the mean and counted as unlabelled (it stays in the gallery
  of the other direction);
- K may exceed the gallery: then every labelled query is a hit;
- average precision and nDCG take all correct items of a query (Manning et al., Introduction to Information
  Retrieval, 8.4).

Scores are exact (see `rows`), so ranks do not depend on the block size, the order of the items, the number of
threads or the BLAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.best_items import BestItems
from cnclip.evaluation.block_scan import scan
from cnclip.evaluation.pair_ranks import PairRanks, count_above
from cnclip.evaluation.retrieval_result import (
    DirectionResult,
    RetrievalResult,
    direction_result,
    expected_recall,
)
from cnclip.evaluation.rows import GRID, Indices, Rows, check_rows

__all__ = [
    "DirectionResult",
    "RankedRetrieval",
    "RetrievalResult",
    "checked_pairs",
    "expected_recall",
    "recall_at_k",
    "recall_with_top",
    "top_items",
]


def recall_at_k(
    image_rows: Rows,
    text_rows: Rows,
    positives: Indices,
    ks: Sequence[int] = (1, 5, 10),
    *,
    block_rows: int = 1024,
) -> RetrievalResult:
    """Rank every image for every text and every text for every image.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        positives: int64 [n_pair, 2], each row (image index, text index) of a correct pair; repetitions count
            once.
        ks: the Ks, each >= 1.
        block_rows: side of the square blocks of the similarity matrix held at once; memory only, never the
            result.

    Raises:
        SourceError: a row is NaN or not of unit length, an index is outside the rows, or no pair is given.
    """
    pairs = checked_pairs(image_rows, text_rows, positives)
    found = count_above(image_rows, text_rows, pairs, block_rows=block_rows)
    return _both_directions(pairs, found, (len(image_rows), len(text_rows)), ks)


@dataclass(frozen=True)
class RankedRetrieval:
    """Ranks and the lists that a search shows, from one pass.

    Attributes:
        result: as recall_at_k gives it.
        images: int64 [n_text, k] the best images of each text, as top_items gives them.
        image_scores: float32 [n_text, k] their cosine similarities.
        texts: int64 [n_image, k] the best texts of each image.
        text_scores: float32 [n_image, k] their cosine similarities.
    """

    result: RetrievalResult
    images: Indices
    image_scores: Rows
    texts: Indices
    text_scores: Rows


def recall_with_top(
    image_rows: Rows,
    text_rows: Rows,
    positives: Indices,
    ks: Sequence[int] = (1, 5, 10),
    *,
    top: int = 10,
    block_rows: int = 1024,
) -> RankedRetrieval:
    """What recall_at_k and top_items (both directions) give, for the price of one of them.

    Args:
        image_rows, text_rows, positives, ks, block_rows: see recall_at_k.
        top: items that are listed for each query.

    Raises:
        SourceError: see recall_at_k.
    """
    pairs = checked_pairs(image_rows, text_rows, positives)
    images = BestItems(text_rows, image_rows, top)
    texts = BestItems(image_rows, text_rows, top)
    found = count_above(
        image_rows, text_rows, pairs, block_rows=block_rows, by_text=[images], by_image=[texts]
    )
    result = _both_directions(pairs, found, (len(image_rows), len(text_rows)), ks)
    return RankedRetrieval(result, *images.found(), *texts.found())


def top_items(
    query_rows: Rows, gallery_rows: Rows, k: int, *, block_rows: int = 1024
) -> tuple[Indices, Rows]:
    """The k best gallery items of each query, best first, equal scores in gallery order.

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length.
        k: how many; at most G come back.
        block_rows: see recall_at_k.

    Returns:
        int64 [Q, min(k, G)] gallery indices and float32 [Q, min(k, G)] cosine similarities.
    """
    best = BestItems(query_rows, gallery_rows, k)
    scan(gallery_rows, query_rows, by_text=[best], block_rows=block_rows)
    return best.found()


def checked_pairs(image_rows: Rows, text_rows: Rows, positives: Indices) -> Indices:
    """Refuse rows and pairs that cannot be ranked.

    Returns:
        int64 [P, 2] the pairs, each once, in ascending order.

    Raises:
        SourceError: see recall_at_k.
    """
    check_rows(image_rows, "image")
    check_rows(text_rows, "text")
    if image_rows.shape[1] != text_rows.shape[1]:
        raise SourceError(f"image rows have {image_rows.shape[1]} columns, text rows {text_rows.shape[1]}")
    pairs = np.asarray(positives, dtype=np.int64).reshape(-1, 2)
    if not len(pairs):
        raise SourceError(
            "no caption has a correct image, so there is nothing to measure",
            fix="measure a split whose texts list their image_ids",
        )
    if pairs.min() < 0 or pairs[:, 0].max() >= len(image_rows) or pairs[:, 1].max() >= len(text_rows):
        raise SourceError(
            f"a correct pair points outside {len(image_rows)} images and {len(text_rows)} texts"
        )
    return np.unique(pairs, axis=0)


def _both_directions(
    pairs: Indices, found: PairRanks, counts: tuple[int, int], ks: Sequence[int]
) -> RetrievalResult:
    """Both directions from the ranks of all pairs; `counts` is (images, texts)."""
    scores = found.scores / GRID**2
    return RetrievalResult(
        t2i=direction_result(pairs[:, 1], scores, found.images_above, counts[::-1], ks),
        i2t=direction_result(pairs[:, 0], scores, found.texts_above, counts, ks),
    )
