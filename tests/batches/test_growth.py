"""A long run holds no more memory and no more open files than a short one."""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Literal

import pytest

from cnclip.batches import GlobalBatchSampler, PairDataset, SampleSettings, pair_loader
from cnclip.images.augment import AUGMENT_POLICIES
from cnclip.images.transform import image_transform
from cnclip.stores.reader import StoreReader

_TENSORS = 4  # of a batch
Holdings = Callable[[], list[tuple[int, int]]]


def growth(
    reader: StoreReader, holdings: Holdings, *, workers: int, start: Literal["spawn", "fork"], epochs: int
) -> None:
    """Read `epochs` epochs; memory and files after a fifth of them and at the end are compared."""
    settings = SampleSettings(
        seed=1, captions="one_per_image", transform=image_transform(16), policy=AUGMENT_POLICIES["light"]
    )
    data = PairDataset([reader], settings)
    size = min(len(data), 500)
    per_epoch = len(data) // size
    sampler = GlobalBatchSampler(data.mixture(), batch_size=size, steps=epochs * per_epoch + 10)
    batches = pair_loader(data, sampler, workers=workers, context_length=20, start_method=start)

    def after(count: int) -> list[tuple[int, int]]:
        for _ in islice(batches, count * per_epoch):
            pass
        gc.collect()
        return holdings()

    first, last = after(epochs // 5), after(epochs - epochs // 5)
    assert len(first) == len(last) > workers
    for (memory, files), (memory_then, files_then) in zip(last, first, strict=True):
        assert memory < 1.05 * memory_then
        # each tensor of a batch on its way is a file; a leak would be one for each of 40 epochs or more
        assert files <= files_then + 2 * workers * _TENSORS
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [0, 2])
def test_fifty_epochs_hold_no_more_than_ten(workers: int, shapes_store: Path, holdings: Holdings) -> None:
    growth(StoreReader(shapes_store), holdings, workers=workers, start="fork", epochs=50)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("workers", [0, 2])
def test_twenty_epochs_of_a_large_store_hold_no_more_than_four(
    workers: int,
    tmp_path: Path,
    write_tiny_store: Callable[..., StoreReader],
    holdings: Holdings,
) -> None:
    captions = {
        f"图{number}": [f"第{number}张图片", "一张图片"][: 1 + number % 2] for number in range(100_000)
    }
    growth(write_tiny_store(tmp_path, captions), holdings, workers=workers, start="spawn", epochs=20)
