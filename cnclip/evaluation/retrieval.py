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
from cnclip.evaluation.pair_ranks import blocks, count_above
from cnclip.evaluation.query_metrics import QueryMetrics, query_metrics
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, check_rows, on_grid


@dataclass(frozen=True)
class DirectionResult:
    """One direction; recalls, average precision and nDCG in percent.

    Attributes:
        recall: K -> share of labelled queries whose best correct item has rank <= K.
        mean_recall: mean of `recall` over its Ks.
        median_rank: median rank of the best correct item, 1 is best.
        mean_rank: mean rank of the best correct item.
        mrr: mean of 100 / rank of the best correct item.
        mean_average_precision: over all correct items of each query.
        ndcg: nDCG@10 with gain 1 for a correct item.
        queries: labelled queries, the denominator.
        unlabelled: queries without a correct item, left out.
        gallery: items that are ranked for each query.
        chance: K -> expected recall of a random order of the gallery.
        per_query: the numbers of each query, unlabelled ones included.
        scores: float32 [queries + unlabelled] cosine similarity of the best correct item; NaN for an
            unlabelled query.
    """

    recall: dict[int, float]
    mean_recall: float
    median_rank: float
    mean_rank: float
    mrr: float
    mean_average_precision: float
    ndcg: float
    queries: int
    unlabelled: int
    gallery: int
    chance: dict[int, float]
    per_query: QueryMetrics
    scores: Rows

    @property
    def ranks(self) -> Indices:
        """int64 [queries + unlabelled] rank of each query's best correct item; 0 for an unlabelled query."""
        return self.per_query.ranks

    @property
    def chance_mean_recall(self) -> float:
        """Mean of `chance` over its Ks, percent."""
        return float(np.mean(list(self.chance.values())))


@dataclass(frozen=True)
class RetrievalResult:
    """Both directions: text -> image and image -> text."""

    t2i: DirectionResult
    i2t: DirectionResult

    @property
    def mean_recall(self) -> float:
        """Mean of the two directions' mean recall, percent."""
        return (self.t2i.mean_recall + self.i2t.mean_recall) / 2

    def metrics(self) -> dict[str, float]:
        """Flat numbers for a training log, percent: t2i_r1, ..., i2t_mean_recall, mean_recall."""
        flat: dict[str, float] = {}
        for name, direction in (("t2i", self.t2i), ("i2t", self.i2t)):
            flat |= {f"{name}_r{k}": value for k, value in direction.recall.items()}
            flat[f"{name}_mean_recall"] = direction.mean_recall
        flat["mean_recall"] = self.mean_recall
        return flat


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
    check_rows(image_rows, "image")
    check_rows(text_rows, "text")
    if image_rows.shape[1] != text_rows.shape[1]:
        raise SourceError(f"image rows have {image_rows.shape[1]} columns, text rows {text_rows.shape[1]}")
    pairs = _checked_positives(positives, len(image_rows), len(text_rows))
    found = count_above(image_rows, text_rows, pairs, block_rows=block_rows)
    return RetrievalResult(
        t2i=_direction(pairs[:, 1], found.scores, found.images_above, (len(text_rows), len(image_rows)), ks),
        i2t=_direction(pairs[:, 0], found.scores, found.texts_above, (len(image_rows), len(text_rows)), ks),
    )


def top_items(
    query_rows: Rows, gallery_rows: Rows, k: int, *, block_rows: int = 1024
) -> tuple[Indices, Rows]:
    """The k best gallery items of each query, best first, equal scores in gallery order.

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length.
        k: how many; at most G come back.

    Returns:
        int64 [Q, min(k, G)] gallery indices and float32 [Q, min(k, G)] cosine similarities.
    """
    k = min(k, len(gallery_rows))
    index = np.empty((len(query_rows), k), dtype=np.int64)
    score = np.empty((len(query_rows), k), dtype=np.float32)
    height = max(1, block_rows * block_rows // max(1, len(gallery_rows)))
    for block in blocks(len(query_rows), height):
        similarity = _similarity(query_rows[block], gallery_rows, block_rows)
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        index[block] = order
        score[block] = np.take_along_axis(similarity, order, axis=1) / GRID**2
    return index, score


def expected_recall(positive_counts: Indices, gallery: int, k: int) -> float:
    """Recall@k of a random order, percent: 1 - C(G-m, k) / C(G, k), averaged over the queries' m.

    Args:
        positive_counts: int64 [Q], correct items of each query, each >= 1.
        gallery: G, items that are ranked.
    """
    misses = np.ones(len(positive_counts))
    for drawn in range(min(k, gallery)):
        misses *= np.maximum(gallery - positive_counts - drawn, 0) / (gallery - drawn)
    return float(100 * (1 - misses).mean())


def _checked_positives(positives: Indices, n_image: int, n_text: int) -> Indices:
    pairs = np.asarray(positives, dtype=np.int64).reshape(-1, 2)
    if not len(pairs):
        raise SourceError(
            "no caption has a correct image, so there is nothing to measure",
            fix="measure a split whose texts list their image_ids",
        )
    if pairs.min() < 0 or pairs[:, 0].max() >= n_image or pairs[:, 1].max() >= n_text:
        raise SourceError(f"a correct pair points outside {n_image} images and {n_text} texts")
    return np.unique(pairs, axis=0)


def _similarity(query_rows: Rows, gallery_rows: Rows, block_rows: int) -> Scores:
    """Grid similarities, the gallery converted a block at a time. float64 [Q, G]."""
    queries = on_grid(query_rows)
    parts = [queries @ on_grid(gallery_rows[block]).T for block in blocks(len(gallery_rows), block_rows)]
    return np.concatenate(parts, axis=1)


def _direction(
    owners: Indices, scores: Scores, above: Indices, shape: tuple[int, int], ks: Sequence[int]
) -> DirectionResult:
    """Numbers of one direction from its pairs; `shape` is (queries, gallery)."""
    per_query = query_metrics(owners, scores, above, shape[0])
    labelled = per_query.ranks > 0
    found = per_query.ranks[labelled]
    recall = {k: float(100 * (found <= k).mean()) for k in ks}
    best = np.full(shape[0], -np.inf)
    np.maximum.at(best, owners, scores)
    positives = np.bincount(owners, minlength=shape[0])
    return DirectionResult(
        recall=recall,
        mean_recall=float(np.mean(list(recall.values()))),
        median_rank=float(np.median(found)),
        mean_rank=float(found.mean()),
        mrr=float(100 * (1 / found).mean()),
        mean_average_precision=float(100 * per_query.average_precision[labelled].mean()),
        ndcg=float(100 * per_query.ndcg[labelled].mean()),
        queries=len(found),
        unlabelled=int((~labelled).sum()),
        gallery=shape[1],
        chance={k: expected_recall(positives[labelled], shape[1], k) for k in ks},
        per_query=per_query,
        scores=np.where(labelled, best / GRID**2, np.nan).astype(np.float32),
    )
