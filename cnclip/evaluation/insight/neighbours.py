"""What each query found, both ways: its best items, which of them are correct, and its best wrong item.

One pass over the similarity matrix in blocks, float32, keeps a few more items per query than are asked for.
Their scores are then taken on the grid of `rows`, where they are exact. A float32 product is within a known
bound of that (`block_scan.scan_bound`), so nearly always the items that were not kept are known to be worse;
the queries for which they may not be, such as those with many equal items, are compared with everything on
the grid. The outcome is that of `top_items`, whatever the block size, threads or BLAS, in about the time that
ranking took. Memory grows with the queries, never with their product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.block_scan import blocks, scan, scan_bound
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, on_grid

NEIGHBOURS = 10
FEWEST = 20  # queries or items; from fewer no verdict is drawn
_SPARE = 4  # items kept beyond those asked for, so that the bound decides nearly always
_CHUNK = 256  # queries whose items are scored exactly at once
_Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Found:
    """What the queries of one direction found in the gallery.

    Attributes:
        items: int64 [Q, k] indices of the best gallery items, best first, equal scores in gallery order;
            k is at most the gallery's size.
        scores: float32 [Q, k] their cosine similarities.
        correct: bool [Q, k] whether they are correct items of the query.
        wrong: int64 [Q] the best item that is not correct, the first of equal ones; -1 where all are correct.
        wrong_scores: float32 [Q] its cosine similarity; NaN where all are correct.
    """

    items: Indices
    scores: Rows
    correct: npt.NDArray[np.bool_]
    wrong: Indices
    wrong_scores: Rows


@dataclass(frozen=True)
class Neighbours:
    """Both directions, every row of the store asked once, unlabelled ones too.

    Attributes:
        t2i: pictures found by each text, in the order of the store's texts.
        i2t: texts found by each picture, in the order of the store's pictures.
    """

    t2i: Found
    i2t: Found


def find_neighbours(evidence: Evidence, *, k: int = NEIGHBOURS, block_rows: int = 1024) -> Neighbours:
    """The k best items of every query of a run.

    Args:
        evidence: embeddings and correct pairs.
        k: items per query; the gallery where it has fewer.
        block_rows: side of the blocks of the similarity matrix; memory and speed, never the result.
    """
    return nearest(evidence.images.rows, evidence.texts.rows, evidence.positives, k, block_rows=block_rows)


def nearest(
    image_rows: Rows, text_rows: Rows, positives: Indices, k: int, *, block_rows: int = 1024
) -> Neighbours:
    """The same from plain rows.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        positives: int64 [pairs, 2] of (image index, text index); repetitions count once.
        k: items per query, >= 1.
        block_rows: see find_neighbours.
    """
    side = max(1, block_rows)
    by_text = _Best(len(text_rows), min(k + _SPARE, len(image_rows)), np.float32)
    by_image = _Best(len(image_rows), min(k + _SPARE, len(text_rows)), np.float32)
    scan(image_rows, text_rows, by_text=[by_text], by_image=[by_image], block_rows=side)
    return Neighbours(
        t2i=_Direction(text_rows, image_rows, positives[:, ::-1], side).found(by_text, k),
        i2t=_Direction(image_rows, text_rows, positives, side).found(by_image, k),
    )


class _Best:
    """The best items of each query so far, best first, equal scores in the order of the items.

    Args:
        queries: Q.
        width: items that are kept for each.
        dtype: of the scores.
    """

    def __init__(self, queries: int, width: int, dtype: npt.DTypeLike) -> None:
        self.items: Indices = np.full((queries, width), -1, dtype=np.int64)
        self.values: _Values = np.full((queries, width), -np.inf, dtype=dtype)

    def see(self, similarity: Rows, queries: slice, gallery: slice, *, queries_are_columns: bool) -> None:
        """Take a block in, as a watcher of `block_scan`."""
        scores = similarity.T if queries_are_columns else similarity
        self.add(scores, queries.start, gallery.start)

    def add(self, scores: _Values, first_query: int, first_item: int) -> None:
        """Take a block [queries, items] in; a query's blocks must come in the order of their items."""
        queries, width = slice(first_query, first_query + len(scores)), self.values.shape[1]
        least = self.values[queries, -1]
        if scores.shape[1] > width and not first_item:
            border = np.partition(scores, -width, axis=1)[:, -width]
            least = np.nextafter(border, -np.inf)
        row, column = _places(scores > least[:, None])
        if not len(row):
            return
        counts = np.bincount(row, minlength=len(scores))
        place = width + np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
        touched = np.flatnonzero(counts)
        line = (np.cumsum(counts > 0) - 1)[row]
        height = width + int(counts.max())
        values = np.full((len(touched), height), -np.inf, dtype=scores.dtype)
        items = np.full((len(touched), height), -1, dtype=np.int64)
        values[:, :width] = self.values[queries][touched]
        items[:, :width] = self.items[queries][touched]
        values[line, place] = scores[row, column]
        items[line, place] = column + first_item
        order = np.argsort(-values, axis=1, kind="stable")[:, :width]  # later items stand to the right
        self.values[touched + first_query] = np.take_along_axis(values, order, axis=1)
        self.items[touched + first_query] = np.take_along_axis(items, order, axis=1)


def _places(mask: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of the true values, by rows, whichever of the two is contiguous in memory."""
    if mask.flags.c_contiguous:
        row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
        return row, column
    column, row = np.divmod(np.flatnonzero(mask.T), len(mask))
    order = np.argsort(row, kind="stable")
    return row[order], column[order]


class _Direction:
    """Queries, their gallery and their correct items.

    Args:
        query_rows: float32 [Q, D].
        gallery_rows: float32 [G, D].
        pairs: int64 [pairs, 2] of (query, correct item).
        side: of the blocks.
    """

    def __init__(self, query_rows: Rows, gallery_rows: Rows, pairs: Indices, side: int) -> None:
        self._queries, self._gallery, self._side = query_rows, gallery_rows, side
        self._keys = np.unique(pairs[:, 0] * len(gallery_rows) + pairs[:, 1])

    def found(self, kept: _Best, k: int) -> Found:
        """From the items that float32 kept to the exact answer."""
        size = len(self._gallery)
        k = min(k, size)
        items, exact = self._exact_order(kept.items)
        if kept.items.shape[1] < size:
            margin = scan_bound(self._queries.shape[1])
            reach = kept.values[:, -1].astype(np.float64) + margin  # of items that were not kept
            unsure = np.flatnonzero(reach >= exact[:, k - 1] / GRID**2)
            items[unsure, :k], exact[unsure, :k] = self._exact_best(unsure, k, without_correct=False)
        items, exact = items[:, :k], exact[:, :k]
        correct = self._is_correct(items)
        place = np.argmin(correct, axis=1)[:, None]  # of the first that is not
        wrong = np.take_along_axis(items, place, axis=1)[:, 0]
        wrong_score = np.take_along_axis(exact, place, axis=1)[:, 0]
        hidden = np.flatnonzero(correct.all(axis=1))
        beyond, beyond_score = self._exact_best(hidden, 1, without_correct=True)
        wrong[hidden], wrong_score[hidden] = beyond[:, 0], beyond_score[:, 0]
        cosine = np.where(wrong >= 0, wrong_score / GRID**2, np.nan).astype(np.float32)
        return Found(items, (exact / GRID**2).astype(np.float32), correct, wrong, cosine)

    def _exact_order(self, kept: Indices) -> tuple[Indices, Scores]:
        """Kept items [Q, W] with their exact scores in grid units, best first, equal ones in order."""
        items = np.sort(kept, axis=1)
        scores = np.empty(items.shape)
        for chunk in blocks(len(items), _CHUNK):
            gallery = on_grid(self._gallery[items[chunk]])  # [chunk, W, D]
            scores[chunk] = np.matmul(gallery, on_grid(self._queries[chunk])[:, :, None])[:, :, 0]
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(items, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def _exact_best(self, queries: Indices, k: int, *, without_correct: bool) -> tuple[Indices, Scores]:
        """The k best of all items [len(queries), k]; -1 and -infinity where there are fewer."""
        best = _Best(len(queries), k, np.float64)
        for chunk in blocks(len(queries), self._side):
            asked = queries[chunk]
            rows = on_grid(self._queries[asked])
            line, item = self._correct_items(asked) if without_correct else (asked[:0], asked[:0])
            for part in blocks(len(self._gallery), self._side):
                scores = rows @ on_grid(self._gallery[part]).T
                here = (item >= part.start) & (item < part.stop)
                scores[line[here], item[here] - part.start] = -np.inf
                best.add(scores, chunk.start, part.start)
        return best.items, best.values.astype(np.float64)

    def _correct_items(self, queries: Indices) -> tuple[Indices, Indices]:
        """Correct items of ascending queries: places in `queries` and items, int64 [pairs] each."""
        size = len(self._gallery)
        owner, item = np.divmod(self._keys, size)
        place = np.minimum(np.searchsorted(queries, owner), len(queries) - 1)
        mine = queries[place] == owner
        return place[mine], item[mine]

    def _is_correct(self, items: Indices) -> npt.NDArray[np.bool_]:
        """Whether each item [Q, k] is a correct one of its query."""
        keys = np.arange(len(items))[:, None] * len(self._gallery) + items
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known: npt.NDArray[np.bool_] = self._keys[place] == keys
        return known
