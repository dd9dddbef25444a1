"""Every picture of some stores as the doctor's few bytes, by several threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cnclip.stores.doctor.pictures import PICTURE, Problem, Rows, sketch_pictures
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

Progress = Callable[[str, int, int], None]
_PICTURES_A_TASK = 32


def sketch_stores(
    readers: Sequence[StoreReader], tools: Tools, *, workers: int = 1, progress: Progress | None = None
) -> Rows:
    """PICTURE [pictures of all stores, one store after the other].

    A picture that does not decode lacks the trait DECODED; its bytes are hashed all the same. Decoding and
    hashing leave Python's lock to other threads. Memory: 91 bytes a picture.

    Args:
        readers: of the stores.
        tools: how to decode.
        workers: threads.
        progress: called with (`pictures looked at`, done, total).
    """
    total = sum(reader.image_count for reader in readers)
    rows = np.zeros(total, dtype=PICTURE)
    waiting: deque[tuple[int, Future[tuple[Rows, list[Problem]]]]] = deque()
    done = place = 0

    def take() -> None:
        nonlocal done
        start, future = waiting.popleft()
        found = future.result()[0]
        rows[start : start + len(found)] = found
        done += len(found)
        if progress is not None:
            progress("pictures looked at", done, total)

    pool = ThreadPoolExecutor(workers)
    try:
        for reader in readers:
            for start in range(0, reader.image_count, _PICTURES_A_TASK):
                stop = min(start + _PICTURES_A_TASK, reader.image_count)
                waiting.append((place, pool.submit(sketch_pictures, reader, start, stop, tools)))
                place += stop - start
                if len(waiting) > 2 * workers:
                    take()
        while waiting:
            take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return rows
