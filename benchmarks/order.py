"""The order of 100 million samples: time to the first batch and for each later one, memory; every way alone.

    python benchmarks/order.py
    python benchmarks/order.py --samples 1000000000 --batch-size 32768

Ways: the computed order of one store, of a mixture of three, of a store where each picture comes with one
caption (one picture in ten has none), and with batches that hold no picture or caption twice; against a
permutation held in memory. The store is a stand-in that computes what a real one reads from its mapped
arrays; its pictures have one to four captions, and one caption in fifty is the same. Times are the process's
own, of one core. Memory is counted above what the imports took: `peak` is the largest resident size, `held`
what stays in memory that no file stands behind. A row is added to benchmarks/order.jsonl.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cnclip.batches import Addresses, GlobalBatchSampler, Mixture
from cnclip.batches.pairing import Pairing
from cnclip.batches.randomness import Numbers

RECORD = Path(__file__).with_suffix(".jsonl")
BATCHES = 48
Batches = Iterator[list[tuple[int, int, int]]]


@dataclass(frozen=True)
class Computed:
    """An array that is computed where it is read."""

    length: int
    rule: Callable[[Numbers], Numbers]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, places: Any) -> Any:
        if isinstance(places, slice):
            places = np.arange(*places.indices(self.length))
        return self.rule(places)


class StandIn:
    """A store of any size: ten pairs to four pictures, which have one to four captions each."""

    def __init__(self, pairs: int) -> None:
        self.pair_count, self.image_count = pairs, pairs // 10 * 4
        self.unreferenced_images = 0
        self.header = self
        self.pair_images: Any = Computed(pairs, self._image)
        self.pair_texts: Any = Computed(pairs, lambda places: places)

    def _image(self, places: Numbers) -> Numbers:
        tens, rest = np.divmod(places, 10)
        found: Numbers = 4 * tens + np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])[rest]
        return found

    def pair_at(self, index: int) -> tuple[int, int]:
        return int(self._image(np.array([index]))[0]), index

    def texts_of(self, image_index: int) -> Numbers:
        tens, rest = divmod(image_index, 4)
        first = 10 * tens + rest * (rest + 1) // 2
        return np.arange(first, first + rest + 1)

    def caption_group(self, text_index: int) -> int:
        return text_index if text_index % 50 else -1


class WithGaps(StandIn):
    """The same with a picture without captions after every nine."""

    def __init__(self, pairs: int) -> None:
        super().__init__(pairs)
        self.unreferenced_images = self.image_count // 9
        self.image_count += self.unreferenced_images
        whole = self._image
        self.pair_images = Computed(pairs, lambda places: whole(places) + whole(places) // 9)

    def texts_of(self, image_index: int) -> Numbers:
        return super().texts_of(image_index - image_index // 10)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(WAYS[options.child], options.samples, options.batch_size)))
        return 0
    command = [sys.executable, __file__, f"--samples={options.samples}", f"--batch-size={options.batch_size}"]
    ways = {}
    for way in WAYS:
        output = subprocess.run([*command, "--child", way], check=True, capture_output=True, text=True).stdout
        ways[way] = json.loads(output)
        print(f"{way:42}", "  ".join(f"{name} {value}" for name, value in ways[way].items()), flush=True)
    row = {"samples": options.samples, "batch_size": options.batch_size, "machine": platform.machine()}
    with open(RECORD, "a", encoding="utf-8") as file:
        file.write(json.dumps({**row, "ways": ways}) + "\n")
    return 0


def measure(way: Callable[[int, int], Batches], samples: int, batch_size: int) -> dict[str, float]:
    """Seconds to the first batch, milliseconds for each later one, MB of memory."""
    peak, held = _peak_megabytes(), _held_megabytes()
    started = time.process_time()
    batches = way(samples, batch_size)
    next(batches)
    first = time.process_time() - started
    times = []
    for _ in range(BATCHES // 8):  # windows of eight batches, of which one does the work of all
        started = time.process_time()
        assert all(len(batch) == batch_size for batch in islice(batches, 8))
        times.append((time.process_time() - started) / 8)
    return {
        "first_s": round(first, 3),
        "ms_per_batch": round(1e3 * statistics.median(times), 2),
        "peak_mb": round(_peak_megabytes() - peak, 1),
        "held_mb": round(_held_megabytes() - held, 1),
    }


def one_store(samples: int, batch_size: int) -> Batches:
    mixture = Mixture([samples], seed=1)
    return iter(GlobalBatchSampler(mixture, batch_size=batch_size, steps=2 * BATCHES))


def three_stores(samples: int, batch_size: int) -> Batches:
    lengths = [samples * 8 // 10, samples // 10, samples - samples * 9 // 10]
    mixture = Mixture(lengths, seed=1, weights=[0.5, 0.3, 0.2])
    return iter(GlobalBatchSampler(mixture, batch_size=batch_size, steps=2 * BATCHES))


def one_caption(samples: int, batch_size: int) -> Batches:
    """As many pictures with captions as `samples`; each sample's caption is looked up as a worker does."""
    pairing = Pairing(WithGaps(samples // 4 * 10), captions="one_per_image", seed=1)
    mixture = Mixture([len(pairing)], seed=1)
    for batch in GlobalBatchSampler(mixture, batch_size=batch_size, steps=2 * BATCHES):
        _, epochs, positions = (np.array(column) for column in zip(*batch, strict=True))
        pairing.pairs(epochs, positions)
        yield batch


def distinct(samples: int, batch_size: int) -> Batches:
    store = StandIn(samples)
    pairing = Pairing(store, captions="every_pair", seed=1)

    def groups(addresses: Addresses) -> list[Numbers]:
        images, texts = pairing.pairs(addresses.epochs, addresses.positions)
        captions = [store.caption_group(text) for text in texts.tolist()]
        return [images, np.array(captions)]

    mixture = Mixture([samples], seed=1)
    return iter(GlobalBatchSampler(mixture, batch_size=batch_size, steps=2 * BATCHES, groups=groups))


def distinct_dense(samples: int, batch_size: int) -> Batches:
    """A store so small that most pictures come several times within eight batches."""
    return distinct(min(samples, 20 * batch_size), batch_size)


def held_in_memory(samples: int, batch_size: int) -> Batches:
    order = np.random.default_rng(1).permutation(samples)
    for first in range(0, samples, batch_size):
        yield [(0, 0, int(position)) for position in order[first : first + batch_size]]


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _held_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


WAYS: dict[str, Callable[[int, int], Batches]] = {
    "computed": one_store,
    "computed, three stores by weight": three_stores,
    "computed, one caption per picture": one_caption,
    "computed, distinct": distinct,
    "computed, distinct, small store": distinct_dense,
    "held in memory (numpy)": held_in_memory,
}

if __name__ == "__main__":
    raise SystemExit(main())
