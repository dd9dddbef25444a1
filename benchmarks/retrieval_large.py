"""Large sizes for benchmarks/retrieval.py: recall of 1 M queries in blocks, its memory as it goes.

Rows are made on disk and mapped; text n belongs to picture n modulo the pictures. The ranks run in a
process of their own, as an evaluation runs them, and another thread reads the process's anonymous memory
(what no file stands behind) four times a second. With --limit, the run is cut off after so many blocks of
texts; all arrays are those of the full run, and the time of the whole is estimated from the blocks done (the
block that another thread was at counts as time, not as done).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cnclip.evaluation.block_scan import blocks
from cnclip.evaluation.pair_ranks import count_above
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.rows import Rows

_MADE_AT_ONCE = 1 << 16


def add_large_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--large", type=int, nargs=2, metavar=("TEXTS", "PICTURES"))
    parser.add_argument("--limit", type=int, help="with --large: blocks of texts after which to stop")


def large(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run in a process of its own, in this one with --quick: the row for the record."""
    texts, images = options.large
    made = make_mapped(folder / "images.npy", images, options.width)
    make_mapped(folder / "texts.npy", texts, options.width, made, options.signal)
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)
    output = folder / "found.json"
    if options.quick:
        measure_large(folder, options.limit, output)
    else:
        arguments = (folder, options.limit, output)
        process = multiprocessing.get_context("spawn").Process(target=measure_large, args=arguments)
        process.start()
        process.join()
    found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    print(json.dumps(found, indent=1))
    limit = f" --limit {options.limit}" if options.limit else ""
    command = f"python benchmarks/retrieval.py --large {texts} {images} --width {options.width}"
    return {
        "command": f"{command} --signal {options.signal} --threads {options.threads}{limit}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": [round(one, 1) for one in os.getloadavg()],
        "large": found,
    }


def make_mapped(path: Path, count: int, width: int, others: Rows | None = None, signal: float = 0.0) -> Rows:
    """Random unit rows float32 [count, width] as a .npy file, a part at a time.

    Args:
        path: of the file.
        count, width: of the rows.
        others: rows [N, width] of which number n modulo N belongs to row n.
        signal: how much of that is added to a row.
    """
    rows: Rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, width))
    rng = np.random.default_rng(1 if others is None else 2)
    for part in blocks(count, _MADE_AT_ONCE):
        made = rng.standard_normal((part.stop - part.start, width), dtype=np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        if others is not None and signal:
            made += np.float32(signal) * others[np.arange(part.start, part.stop) % len(others)]
            made /= np.linalg.norm(made, axis=1, keepdims=True)
        rows[part] = made
    return rows


class _Enough(Exception):
    """The blocks asked for are done."""


class _Counter:
    """A watcher that notes when each block of texts is done, and ends the run after `limit` of them."""

    def __init__(self, pictures: int, limit: int | None) -> None:
        self.pictures, self.limit, self.finished = pictures, limit, 0
        self.texts = 0

    def see(self, similarity: Rows, queries: slice, gallery: slice, *, queries_are_columns: bool) -> None:
        if gallery.stop == self.pictures:
            self.finished += 1
            self.texts += queries.stop - queries.start
            if self.limit and self.finished >= self.limit:
                raise _Enough


def measure_large(folder: Path, limit: int | None, output: Path) -> None:
    """Rank all, or the first blocks; write what was found."""
    images: Rows = np.load(folder / "images.npy", mmap_mode="r")
    texts: Rows = np.load(folder / "texts.npy", mmap_mode="r")
    pairs = np.stack([np.arange(len(texts)) % len(images), np.arange(len(texts))], axis=1)
    at_start = _anonymous_megabytes()
    watch = _Memory()
    watch.start()
    wall, cpu = time.perf_counter(), time.process_time()
    done: dict[str, Any] = {}
    if limit is None:
        done["recall"] = recall_at_k(images, texts, pairs).metrics()
    else:
        counter = _Counter(len(images), limit)
        with contextlib.suppress(_Enough):
            count_above(images, texts, pairs, block_rows=1024, by_text=[counter])
        done["texts_done"] = counter.texts
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    watch.stop()
    texts_done = done.get("texts_done", len(texts))
    done |= {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "ns_per_comparison_cpu": round(1e9 * cpu / texts_done / len(images), 2),
        "product_ns_per_comparison_cpu": round(_product_ns(images, texts), 2),
        "cpu_s_estimated_for_all": round(cpu * len(texts) / texts_done),
        "anonymous_mb_at_start": round(at_start, 1),
        "anonymous_mb": watch.quarters(),
    }
    output.write_text(json.dumps(done), encoding="utf-8")


def _product_ns(images: Rows, texts: Rows) -> float:
    """CPU nanoseconds of one value of the product alone, over blocks of the same size."""
    block, times = np.array(texts[:1024]), []
    with threadpool_limits(1, user_api="blas"):
        for part in [*blocks(len(images), 1024)][:60]:
            rows = np.array(images[part])
            similarity = np.ones((len(block), len(rows)), dtype=np.float32)
            started = time.process_time()
            np.matmul(block, rows.T, out=similarity)
            times.append((time.process_time() - started) / similarity.size)
    return 1e9 * float(np.median(times))


class _Memory(threading.Thread):
    """Reads the process's anonymous memory four times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._read: list[float] = []

    def run(self) -> None:
        while not self._ended.wait(0.25):
            self._read.append(_anonymous_megabytes())

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def quarters(self) -> dict[str, float]:
        """The largest value in each quarter of the run, and of all."""
        parts = np.array_split(np.array(self._read or [_anonymous_megabytes()]), 4)
        names = ("first quarter", "second", "third", "last quarter")
        found = {name: round(float(part.max(initial=0)), 1) for name, part in zip(names, parts, strict=True)}
        return found | {"peak": round(max(found.values()), 1)}


def _anonymous_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024
