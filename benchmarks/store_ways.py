"""The measurements of benchmarks/store.py, each for a process of its own: build, raw read, load."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout, suppress
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil
from torch import Tensor

from benchmarks import plain_store
from benchmarks.store_source import SPLIT
from cnclip.batches import GlobalBatchSampler, PairDataset, SampleSettings, pair_loader
from cnclip.commands import main as cnclip
from cnclip.images.fast import Pixels, pixel_transform
from cnclip.images.transform import normalize_pixels
from cnclip.stores.reader import StoreReader

PEERS = ("cn_clip", "tar")  # the first is the measure
IMAGE_SIZE = 224
CONTEXT_LENGTH = 52
BUILD_OPTIONS: dict[str, list[str]] = {"ours": [], "ours, side 256": ["--max-side", "256"]}
LOADS: dict[str, tuple[str, Pixels]] = {
    "ours, exact": ("ours", "exact"),
    "ours, fast": ("ours", "fast"),
    "ours, side 256, exact": ("ours, side 256", "exact"),
    "ours, side 256, fast": ("ours, side 256", "fast"),
}
Found = dict[str, float]


def build(folder: Path, way: str) -> Found:
    """Seconds, MB on disk, and the most memory of all processes above what the imports took, MiB."""
    source, target = folder / "source", folder / way
    shutil.rmtree(target, ignore_errors=True)
    memory, start = _PeakMemory(), time.perf_counter()
    if way == "cn_clip":
        plain_store.build_lmdb(source, target)
    elif way == "tar":
        plain_store.build_tar(source, target)
    else:
        command = ["data", "build", str(source), str(target), "--split", SPLIT, *BUILD_OPTIONS[way]]
        with redirect_stdout(sys.stderr):
            code = cnclip(command)
        if code:
            raise SystemExit(f"cnclip {' '.join(command)}: exit code {code}")
    seconds = time.perf_counter() - start
    peak = memory.end()
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return {"seconds": seconds, "MB": size / 1e6, "peak MiB": peak}


def raw(folder: Path, passes: int) -> dict[str, Found]:
    """Pairs per second, undecoded, all ways in turns; the first pass warms up."""
    plain = plain_store.LmdbDataset(folder / "cn_clip", IMAGE_SIZE)
    tars = sorted((folder / "tar").glob("*.tar"))
    order = np.random.default_rng(1).permutation(len(plain)).tolist()
    with StoreReader(folder / "ours") as reader:
        ways: dict[str, Callable[[], Iterable[object]]] = {
            "cn_clip": lambda: map(plain.raw, order),
            "tar": lambda: plain_store.read_tars(tars),
            "ours": lambda: map(reader.pair, order),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(passes + 1):
            for way, samples in ways.items():
                start = time.perf_counter()
                assert sum(1 for _ in samples()) == len(order)
                seconds[way].append(time.perf_counter() - start)
    return {way: {"per second": len(order) / statistics.median(all_[1:])} for way, all_ in seconds.items()}


def load(folder: Path, way: str, batch_size: int, workers: int) -> Found:
    """Samples per second once all workers have delivered, and CPU milliseconds a sample in all processes."""
    if way in LOADS:
        count, batches = _our_batches(folder / LOADS[way][0], LOADS[way][1], batch_size, workers)
    else:
        count, batches = _plain_batches(folder, way, batch_size, workers)
    warm = min(2 * workers, count // 2)
    for _ in islice(batches, warm):
        pass
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    samples = sum(len(next(batches)) for _ in range(count - warm))
    seconds, cpu_seconds = time.perf_counter() - start, _cpu_seconds() - cpu_start  # the workers still live
    return {"per second": samples / seconds, "CPU ms": cpu_seconds / samples * 1000}


def deviation(folder: Path, count: int) -> Found:
    """How far fast pixels are from exact ones, in steps of 1/255."""
    exact, fast = pixel_transform(IMAGE_SIZE, "exact"), pixel_transform(IMAGE_SIZE, "fast")
    off = []
    with StoreReader(folder / "ours") as reader:
        for index in range(min(count, reader.image_count)):
            data = reader.image(index).image
            difference = exact.to_uint8(exact.read(data)).int() - fast.to_uint8(fast.read(data)).int()
            off.append(difference.abs().double())
    return {
        "max": max(float(one.max()) for one in off),
        "mean": statistics.mean(float(one.mean()) for one in off),
    }


def _our_batches(path: Path, pixels: Pixels, batch_size: int, workers: int) -> tuple[int, Iterator[Tensor]]:
    """Number of batches, and float32 [B, 3, S, S] of one epoch as training gets them."""
    transform = pixel_transform(IMAGE_SIZE, pixels)
    settings = SampleSettings(seed=1, captions="every_pair", transform=transform)
    dataset = PairDataset([StoreReader(path)], settings)
    steps = len(dataset) // batch_size
    sampler = GlobalBatchSampler(dataset.mixture(), batch_size=batch_size, steps=steps)
    batches: Any = pair_loader(dataset, sampler, workers=workers, context_length=CONTEXT_LENGTH)
    return steps, (normalize_pixels(batch.pixels) for batch in batches)


def _plain_batches(folder: Path, way: str, batch_size: int, workers: int) -> tuple[int, Iterator[Tensor]]:
    """The same of a peer."""
    lmdb_dataset = plain_store.LmdbDataset(folder / PEERS[0], IMAGE_SIZE)
    dataset = lmdb_dataset if way == PEERS[0] else plain_store.TarDataset(folder / way, IMAGE_SIZE)
    batches: Any = plain_store.plain_loader(dataset, batch_size, workers)
    return len(lmdb_dataset) // batch_size, (batch[0] for batch in batches)


class _PeakMemory(Thread):
    """The most memory of this process and its children, MiB above what it began with (PSS, every 50 ms)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = Event()
        self._before = self._peak = _memory_bytes()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.05):
            self._peak = max(self._peak, _memory_bytes())

    def end(self) -> float:
        self._ended.set()
        self.join()
        return (max(self._peak, _memory_bytes()) - self._before) / 2**20


def _memory_bytes() -> int:
    """Pages that several processes share are split among them."""
    total = 0
    for process in _family():
        with suppress(psutil.Error):  # it has ended meanwhile
            total += process.memory_full_info().pss
    return total


def _cpu_seconds() -> float:
    times = [process.cpu_times() for process in _family()]
    return float(sum(time.user + time.system for time in times))


def _family() -> list[psutil.Process]:
    here = psutil.Process()
    return [here, *here.children(recursive=True)]
