"""What each gallery item owes to being near to everything: sums and means over queries, in blocks.

Sums are taken query by query, in the order of the rows, whatever the blocks; similarities are exact. The
result is then rounded to a grid that is far below what a similarity can tell, so that another order of the
queries nearly never shows either.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnclip.evaluation.block_scan import blocks
from cnclip.evaluation.rows import GRID, Rows, Scores, on_grid

_STEP = float(2**32)


def log_sums(query_rows: Rows, gallery_rows: Rows, temperature: float, *, block_rows: int) -> Scores:
    """log of the sum over all queries of exp(temperature * similarity), for each gallery item: float64 [G].

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length.
        temperature: up to 300, so that nothing overflows.
        block_rows: memory only, never the result.
    """
    sums = np.zeros(len(gallery_rows))
    for gallery in blocks(len(gallery_rows), 2 * block_rows):
        total = sums[gallery]
        for similarity in exact_blocks(query_rows, gallery_rows[gallery], block_rows):
            np.multiply(similarity, temperature, out=similarity)
            for terms in np.exp(similarity, out=similarity):  # one query after another
                total += terms
    return _rounded(np.log(sums))


def nearest_means(query_rows: Rows, gallery_rows: Rows, neighbours: int, *, block_rows: int) -> Scores:
    """Mean similarity of each gallery item to the queries that are nearest to it: float64 [G].

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length.
        neighbours: how many queries; all where there are fewer.
        block_rows: memory only, never the result.
    """
    count = min(neighbours, len(query_rows))
    means = np.empty(len(gallery_rows))
    for gallery in blocks(len(gallery_rows), 2 * block_rows):
        best = np.full((gallery.stop - gallery.start, 0), -np.inf)
        for similarity in exact_blocks(query_rows, gallery_rows[gallery], block_rows):
            best = np.concatenate([best, similarity.T], axis=1)
            if best.shape[1] > count:
                best = np.partition(best, -count, axis=1)[:, -count:]
        best.sort(axis=1)
        total = np.zeros(len(best))
        for place in range(count):
            total += best[:, place]
        means[gallery] = total / count
    return _rounded(means)


def exact_blocks(query_rows: Rows, gallery_rows: Rows, block_rows: int) -> Iterator[Scores]:
    """Exact cosine similarities of a few queries after another with all of the gallery: float64 [q, G]."""
    gallery = on_grid(gallery_rows).T
    for queries in blocks(len(query_rows), max(1, block_rows // 2)):
        similarity = on_grid(query_rows[queries]) @ gallery
        similarity /= GRID**2
        yield similarity


def _rounded(values: Scores) -> Scores:
    """Values in multiples of 2**-32."""
    rounded: Scores = np.rint(values * _STEP) / _STEP
    return rounded
