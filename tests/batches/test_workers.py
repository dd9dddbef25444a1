"""Loader workers: whatever their number and kind, the same batches; a lost one is an error, never a wait."""

from __future__ import annotations

import gc
import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
from PIL import Image

from cnclip.batches import GlobalBatchSampler, PairBatch, PairDataset, SampleSettings, pair_loader
from cnclip.errors import CnclipError, ResourceError
from cnclip.images.augment import AUGMENT_POLICIES
from cnclip.images.transform import ImageTransform, image_transform
from cnclip.stores.reader import StoreReader

StartMethod = Literal["spawn", "fork", "forkserver"]
EPOCHS, STEPS_PER_EPOCH = 3, 4


class SleepyTransform(ImageTransform):
    """Never comes back."""

    def to_uint8(self, image: Image.Image) -> torch.Tensor:
        time.sleep(3600)
        raise AssertionError


class EndlessTransform(ImageTransform):
    """Ends an iteration that nobody began."""

    def to_uint8(self, image: Image.Image) -> torch.Tensor:
        raise StopIteration


def dataset(store: Path, transform: ImageTransform | None = None) -> PairDataset:
    made = SampleSettings(
        seed=3,
        captions="one_per_image",
        transform=transform or image_transform(16),
        policy=AUGMENT_POLICIES["light"],
    )
    return PairDataset([StoreReader(store), StoreReader(store)], made)


def loaded(
    store: Path, workers: int, start: StartMethod, steps: range, transform: ImageTransform | None = None
) -> Iterator[PairBatch]:
    data = dataset(store, transform)
    data.sample(0, 0, 0) if transform is None else None  # the parent has the store open before any worker
    sampler = GlobalBatchSampler(
        data.mixture([1, 2]), batch_size=12, steps=steps.stop, first_step=steps.start
    )
    return pair_loader(
        data, sampler, workers=workers, context_length=20, start_method=start, silence_seconds=60
    )


def hashes(batches: Iterator[PairBatch]) -> list[str]:
    made = []
    for batch in batches:
        assert batch.pixels is not None
        parts = [batch.pixels, batch.token_ids, batch.groups]
        data = b"".join(part.contiguous().numpy().tobytes() for part in parts)
        made.append(hashlib.sha256(data + repr(batch.text_ids).encode()).hexdigest())
    return made


def all_epochs(store: Path, workers: int, start: StartMethod, *, persistent: bool) -> list[str]:
    """Hashes of three epochs, from one loader, or from a new one each epoch."""
    ends = [0, EPOCHS * STEPS_PER_EPOCH] if persistent else [n * STEPS_PER_EPOCH for n in range(EPOCHS + 1)]
    runs = [range(first, end) for first, end in itertools.pairwise(ends)]
    return [one for steps in runs for one in hashes(loaded(store, workers, start, steps))]


@pytest.mark.parametrize(
    ("workers", "start", "persistent"),
    [(0, "spawn", False), (2, "spawn", True), (1, "fork", False), (4, "fork", True), (2, "forkserver", True)],
)
def test_workers_of_any_number_and_kind_give_the_same_batches(
    workers: int, start: StartMethod, persistent: bool, shapes_store: Path
) -> None:
    alone = all_epochs(shapes_store, 0, "spawn", persistent=True)
    assert len(set(alone)) == EPOCHS * STEPS_PER_EPOCH
    assert all_epochs(shapes_store, workers, start, persistent=persistent) == alone


@pytest.mark.nightly
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_all_numbers_and_kinds_of_workers_give_the_same_batches(
    workers: int, start: StartMethod, persistent: bool, shapes_store: Path
) -> None:
    alone = all_epochs(shapes_store, 0, "spawn", persistent=True)
    assert all_epochs(shapes_store, workers, start, persistent=persistent) == alone


def test_a_killed_worker_is_an_error_with_a_remedy(shapes_store: Path) -> None:
    batches = loaded(shapes_store, 2, "fork", range(10_000))
    next(batches)
    victim = multiprocessing.active_children()[0]
    assert victim.pid is not None
    threading.Timer(0.3, os.kill, (victim.pid, signal.SIGKILL)).start()
    with pytest.raises(ResourceError, match=f"loader worker {victim.pid} is gone: .* memory") as error:
        deque(batches, maxlen=0)
    assert error.value.exit_code == 5 and "data.workers" in str(error.value.fix)
    assert not multiprocessing.active_children()


@pytest.mark.timeout(60)
def test_a_worker_that_was_killed_with_the_lock_of_the_loader_is_not_waited_for(shapes_store: Path) -> None:
    batches = loaded(shapes_store, 2, "fork", range(10_000))
    next(batches)
    loader = batches.gi_frame.f_locals["batches"]  # type: ignore[attr-defined]
    loader._workers_done_event._event._cond.acquire()  # as its owner, a killed worker never gives it back
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)  # type: ignore[arg-type]
    with pytest.raises(ResourceError, match="is gone"):
        deque(batches, maxlen=0)
    del loader, batches
    gc.collect()
    assert not multiprocessing.active_children()


def test_a_worker_that_hangs_is_an_error_and_is_not_waited_for(shapes_store: Path) -> None:
    data = dataset(shapes_store, SleepyTransform(16))
    sampler = GlobalBatchSampler(data.mixture(), batch_size=4, steps=3)
    batches = pair_loader(data, sampler, workers=1, context_length=20, start_method="fork", silence_seconds=1)
    with pytest.raises(ResourceError, match="hangs"):
        next(batches)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iteration_that_ends_inside_a_sample_does_not_end_the_data(
    workers: int, shapes_store: Path
) -> None:
    with pytest.raises(CnclipError, match="ended early"):
        list(loaded(shapes_store, workers, "fork", range(3), EndlessTransform(16)))
