"""Stores to sketches: every picture decoded and every caption cut into pieces, by several processes.

What comes back of a row are the few bytes of its sketch, so memory grows by 91 bytes a picture, 73 a caption
and 16 a pair, and no picture outlives its turn.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnclip.errors import ResourceError
from cnclip.stores.doctor.captions import CAPTION, MOST_UNKNOWN, CaptionSketches, sketch_captions
from cnclip.stores.doctor.pictures import PICTURE, Problem, Rows, sketch_pictures
from cnclip.stores.doctor.tools import Tools
from cnclip.stores.reader import StoreReader

Progress = Callable[[str, int, int], None]
MOST_PROBLEMS = 1000  # told one by one; the rest is counted

_PICTURES_A_TASK, _CAPTIONS_A_TASK = 64, 2000
_TASKS_A_WORKER = 4  # waiting or done but not taken


@dataclass
class StoreSketch:
    """All that is known of a store after its rows were looked at.

    Attributes:
        path: of the store.
        fingerprint: of its content.
        pictures: PICTURE [images].
        captions: CAPTION [texts].
        pair_images, pair_texts: int64 [pairs].
        problems: the first MOST_PROBLEMS records that cannot be used.
        unknown: character or word -> captions that it makes an [UNK] in.
    """

    path: Path
    fingerprint: str
    pictures: Rows
    captions: Rows
    pair_images: npt.NDArray[np.int64]
    pair_texts: npt.NDArray[np.int64]
    problems: list[Problem] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Task:
    kind: Literal["pictures", "captions"]
    store: int
    start: int
    stop: int


@dataclass
class _Looker:
    """What a process needs to look at rows; travels to a worker once, with its readers closed."""

    readers: Sequence[StoreReader]
    tools: Tools
    context_length: int

    def look(self, task: _Task) -> Any:
        reader = self.readers[task.store]
        if task.kind == "pictures":
            return sketch_pictures(reader, task.start, task.stop, self.tools)
        return sketch_captions(reader, task.start, task.stop, self.tools, self.context_length)


def scan_stores(
    readers: Sequence[StoreReader],
    tools: Tools,
    *,
    context_length: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[StoreSketch]:
    """Look at every row of the stores; the result does not depend on the number of workers.

    Args:
        readers: of the stores.
        tools: how to look.
        context_length: most pieces of a caption that the model gets, [CLS] and [SEP] included.
        workers: processes; 1 works in this one.
        progress: called with (`pictures` or `captions`, rows done, rows in all).

    Raises:
        ResourceError: a worker process was killed, most likely for want of memory.
    """
    sketches = [_empty(reader) for reader in readers]
    totals = {"pictures": sum(r.image_count for r in readers), "captions": sum(r.text_count for r in readers)}
    done = dict.fromkeys(totals, 0)
    tasks = [task for kind in totals for task in _tasks(kind, readers)]
    looker = _Looker(readers, tools, context_length)
    with _results(looker, tasks, min(workers, max(1, len(tasks)))) as results:
        for task, result in zip(tasks, results, strict=True):
            _keep(sketches[task.store], task, result)
            done[task.kind] += task.stop - task.start
            if progress is not None:
                progress(task.kind, done[task.kind], totals[task.kind])
    return sketches


def _empty(reader: StoreReader) -> StoreSketch:
    return StoreSketch(
        reader.path,
        reader.fingerprint,
        np.zeros(reader.image_count, dtype=PICTURE),
        np.zeros(reader.text_count, dtype=CAPTION),
        reader.pair_images,
        reader.pair_texts,
    )


def _tasks(kind: Any, readers: Sequence[StoreReader]) -> Iterator[_Task]:
    step = _PICTURES_A_TASK if kind == "pictures" else _CAPTIONS_A_TASK
    for store, reader in enumerate(readers):
        count = reader.image_count if kind == "pictures" else reader.text_count
        for start in range(0, count, step):
            yield _Task(kind, store, start, min(start + step, count))


def _keep(sketch: StoreSketch, task: _Task, result: Any) -> None:
    if isinstance(result, CaptionSketches):
        sketch.captions[task.start : task.stop], problems = result.rows, result.problems
        sketch.unknown.update(result.unknown)
        if len(sketch.unknown) > 2 * MOST_UNKNOWN:
            sketch.unknown = Counter(dict(sketch.unknown.most_common(MOST_UNKNOWN)))
    else:
        sketch.pictures[task.start : task.stop], problems = result
    sketch.problems += problems[: MOST_PROBLEMS - len(sketch.problems)]


@contextmanager
def _results(looker: _Looker, tasks: Sequence[_Task], workers: int) -> Iterator[Iterator[Any]]:
    """The results in the order of the tasks."""
    if workers <= 1:
        yield map(looker.look, tasks)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(looker,)
    )
    try:
        yield _in_order(pool, tasks, workers * _TASKS_A_WORKER)
    except BrokenProcessPool:
        raise ResourceError(
            "a worker process was killed, most likely for want of memory", fix="--workers with half as many"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, tasks: Sequence[_Task], most_waiting: int) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    for task in tasks:
        waiting.append(pool.submit(_work, task))
        if len(waiting) >= most_waiting:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_looker: _Looker | None = None


def _start_worker(looker: _Looker) -> None:
    """Keep what the tasks need; leave Ctrl-C to the parent, and end with it."""
    global _looker
    _looker = looker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: _Task) -> Any:
    assert _looker is not None
    return _looker.look(task)
