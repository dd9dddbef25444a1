"""One pass over the similarity matrix, block by block, for all that want to see it.

The product is the costly part, so it is made once, in float32, and handed to every watcher of either
direction. Memory holds one block for each thread and what the watchers keep, never the whole matrix.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cnclip.evaluation.rows import GRID, Indices, Rows, Scores, on_grid

Mask = npt.NDArray[np.bool_]
_CHUNK = 128  # exact products taken at once: what fits into a core's cache
_PART = 256  # columns of a product: with fewer, its error bound is smaller, and fewer items are unsure
_LEAST_HEIGHT = 64  # rows below which a product is not worth a thread of its own
_BUFFER = (
    512  # of numpy's loops: into a larger one it copies each row's threshold, as often as it is compared
)


class Watcher(Protocol):
    """Something that looks at every block once, in any order; at blocks of other queries at the same time."""

    def see(self, similarity: Rows, queries: slice, gallery: slice, *, queries_are_columns: bool) -> None:
        """Look at float32 [queries, gallery], or the other way round; the array is used again afterwards."""
        ...


def scan(
    image_rows: Rows,
    text_rows: Rows,
    *,
    by_text: Sequence[Watcher] = (),
    by_image: Sequence[Watcher] = (),
    block_rows: int,
) -> None:
    """Show all blocks to all watchers, on all cores (OMP_NUM_THREADS, where it is set).

    Each thread makes its own products with one BLAS thread: so the watchers' work is spread over the cores
    too, and no BLAS thread spins while they look.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        by_text: watchers whose queries are the texts.
        by_image: watchers whose queries are the images.
        block_rows: greatest side of a block; memory and speed, never what the blocks hold.
    """
    threads, width = _threads(), max(1, block_rows)
    shares = -(-len(text_rows) // width)
    shares = -(-shares // threads) * threads  # as many for each thread
    height = max(1, min(width, max(_LEAST_HEIGHT, -(-len(text_rows) // max(1, shares)))))
    work = _Work(image_rows, text_rows, (by_text, by_image), (height, width))
    if threads == 1 or len(text_rows) <= height:
        work.run()
        return
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(work.run) for _ in range(threads)]
        try:
            for one in running:
                one.result()
        finally:
            work.stop()


class _Work:
    """The blocks, text block by text block, for one thread or several that share them."""

    def __init__(
        self,
        image_rows: Rows,
        text_rows: Rows,
        watchers: tuple[Sequence[Watcher], Sequence[Watcher]],
        shape: tuple[int, int],
    ) -> None:
        self._image_rows, self._text_rows = image_rows, text_rows
        self._by_text, self._by_image = watchers
        self._left = blocks(len(text_rows), shape[0])
        self._images = [(part, threading.Lock()) for part in blocks(len(image_rows), shape[1])]
        self._area = min(shape[0], len(text_rows)) * min(shape[1], len(image_rows))
        self._taking = threading.Lock()
        self._stopped = False

    def run(self) -> None:
        """Take text blocks until none is left, or until another thread fails."""
        before = np.setbufsize(_BUFFER)  # of this thread
        try:
            self._run(np.empty((2, self._area), dtype=np.float32))
        except BaseException:
            self.stop()
            raise
        finally:
            np.setbufsize(before)

    def _run(self, buffers: Rows) -> None:
        while (texts := self._next()) is not None:
            text_block = np.ascontiguousarray(self._text_rows[texts])
            for images, only_one in self._images:
                shape = (texts.stop - texts.start, images.stop - images.start)
                similarity, spare = buffers[:, : shape[0] * shape[1]].reshape(2, *shape)
                _product(text_block, self._image_rows[images], similarity, spare)
                for watcher in self._by_text:
                    watcher.see(similarity, texts, images, queries_are_columns=False)
                with only_one:
                    for watcher in self._by_image:
                        watcher.see(similarity, images, texts, queries_are_columns=True)
                if self._stopped:
                    return

    def stop(self) -> None:
        """Let the threads end after the block that they are at."""
        self._stopped = True

    def _next(self) -> slice | None:
        with self._taking:
            return next(self._left, None)


def _threads() -> int:
    """How many cores are ours: what the BLAS goes by as well."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(asked)) if asked.isdigit() else cores)


def blocks(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `count`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def exact_scores(first_rows: Rows, second_rows: Rows, pairs: Indices) -> Scores:
    """Similarity of each (first index, second index) in grid units: float64 [P]."""
    scores = np.empty(len(pairs))
    for block in blocks(len(pairs), _CHUNK):
        first, second = pairs[block, 0], pairs[block, 1]
        scores[block] = np.einsum("nd,nd->n", on_grid(first_rows[first]), on_grid(second_rows[second]))
    return scores


def _product(text_rows: Rows, image_rows: Rows, similarity: Rows, spare: Rows) -> None:
    """Write the products of all rows with all rows, some columns at a time."""
    for columns in blocks(text_rows.shape[1], _PART):
        out = spare if columns.start else similarity
        np.matmul(text_rows[:, columns], image_rows[:, columns].T, out=out)
        if columns.start:
            similarity += spare


def product_bound(width: int) -> float:
    """Farthest that a float32 product of unit rows, in any order of summation, is from the grid's.

    Higham, Accuracy and Stability of Numerical Algorithms, 3.1, and the rounding of both rows to the grid.
    """
    roundings = (width + 16) * 2.0**-24 * 1.05
    return roundings + 2 * math.sqrt(width) / GRID


def scan_bound(width: int) -> float:
    """The same for the blocks of `scan`, whose products are sums of a few products of less width.

    The lengths of the parts of two unit rows have a scalar product of at most 1 (Cauchy and Schwarz), so that
    the bounds of the parts add up to that of one part of unit rows; each sum of parts rounds once more.
    """
    parts = -(-width // _PART)
    return product_bound(min(width, _PART) + parts) + 2 * math.sqrt(width) / GRID


def reached(similarity: Rows, levels: Rows, *, queries_are_columns: bool, out: Mask | None = None) -> Mask:
    """Where each query's similarity is at least its level: bool of the block's shape.

    Args:
        similarity: float32 block.
        levels: float32 [queries of the block].
        queries_are_columns: which axis of the block they are.
        out: bool of the block's shape, to be written.
    """
    return np.greater_equal(similarity, levels if queries_are_columns else levels[:, None], out=out)
