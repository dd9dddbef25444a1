"""Which sample comes when, and what it looks like: pure functions, whatever the processes and workers."""

from __future__ import annotations

import random
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnclip.batches import (
    GlobalBatchSampler,
    ImageRows,
    Mixture,
    PairBatch,
    PairDataset,
    SampleSettings,
    pair_loader,
    steps_per_epoch,
)
from cnclip.errors import ImageError, RecipeError
from cnclip.images.augment import AUGMENT_POLICIES
from cnclip.images.transform import ImageTransform, image_transform
from cnclip.stores.reader import StoreReader


class BrokenTransform(ImageTransform):
    """Refuses every picture, as a damaged one would be."""

    def to_uint8(self, image: Image.Image) -> torch.Tensor:
        raise ImageError("no pixels today", where="here", fix="try tomorrow")


def dataset(store: Path, rows: ImageRows | None = None, **changes: object) -> PairDataset:
    settings: dict[str, object] = {
        "transform": image_transform(16),
        "policy": AUGMENT_POLICIES["strong"],
        "seed": 3,
        "captions": "every_pair",
    }
    made = SampleSettings(**{**settings, **changes})  # type: ignore[arg-type]
    return PairDataset([StoreReader(store)], made, rows=None if rows is None else [rows])


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 30), st.integers(1, 40), st.integers(0, 9))
def test_processes_share_out_the_same_global_batches(
    batch_size: int, processes: int, extra: int, steps: int, seed: int
) -> None:
    mixture = Mixture([batch_size * processes + extra], seed=seed)
    alone = list(GlobalBatchSampler(mixture, batch_size=batch_size * processes, steps=steps))
    shares = [
        list(GlobalBatchSampler(mixture, batch_size=batch_size, steps=steps, rank=rank, processes=processes))
        for rank in range(processes)
    ]
    assert [[*chain.from_iterable(parts)] for parts in zip(*shares, strict=True)] == alone
    per_epoch = steps_per_epoch(len(mixture), batch_size * processes)
    for first in range(0, steps, per_epoch):
        positions = [position for batch in alone[first : first + per_epoch] for _, _, position in batch]
        assert len(set(positions)) == len(positions)
    start = steps // 2
    tail = GlobalBatchSampler(mixture, batch_size=batch_size * processes, steps=steps, first_step=start)
    assert list(tail) == alone[start:] and len(tail) == steps - start


def test_epochs_differ_in_order_and_a_too_small_set_is_refused() -> None:
    first, second = list(GlobalBatchSampler(Mixture([50], seed=1), batch_size=50, steps=2))
    assert [p for _, _, p in first] != [p for _, _, p in second]
    assert {epoch for _, epoch, _ in first} == {0} and {epoch for _, epoch, _ in second} == {1}
    with pytest.raises(RecipeError, match="3 samples do not fill"):
        steps_per_epoch(3, 8)


def batches(store: Path, workers: int, **changes: object) -> list[PairBatch]:
    data = dataset(store, **changes)
    sampler = GlobalBatchSampler(data.mixture(), batch_size=7, steps=9)
    return list(pair_loader(data, sampler, workers=workers, context_length=20))


def same(one: PairBatch, two: PairBatch) -> bool:
    assert one.pixels is not None and two.pixels is not None
    return (
        torch.equal(one.pixels, two.pixels)
        and torch.equal(one.token_ids, two.token_ids)
        and torch.equal(one.groups, two.groups)
        and one.text_ids == two.text_ids
    )


def test_workers_and_global_random_state_change_nothing(shapes_store: Path) -> None:
    alone = batches(shapes_store, workers=0)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    for one, two in zip(alone, batches(shapes_store, workers=2), strict=True):
        assert same(one, two)
    assert not torch.equal(alone[0].pixels[:2], batches(shapes_store, 0, seed=4)[0].pixels[:2])  # type: ignore[index]


def test_a_batch_is_as_long_as_its_longest_caption(shapes_store: Path) -> None:
    batch = batches(shapes_store, workers=0)[0]
    assert batch.pixels is not None and batch.pixels.dtype == torch.uint8
    assert batch.pixels.shape == (7, 3, 16, 16)
    lengths = batch.attention_mask.sum(1)
    assert batch.token_ids.shape[1] == lengths.max() <= 20
    assert (batch.token_ids[~batch.attention_mask] == 0).all()


def test_each_picture_comes_once_an_epoch_with_a_caption_of_its_own(shapes_store: Path) -> None:
    data = dataset(shapes_store, captions="one_per_image")
    assert len(data) == 24
    for epoch in range(3):
        samples = [data.sample(0, epoch, position) for position in range(24)]
        assert len({sample.image_id for sample in samples}) == 24
        for sample in samples:
            text = data.stores[0].text(data.stores[0].text_index(sample.text_id))
            assert sample.image_id in text.image_ids and text.caption == sample.caption
    drawn = {data.sample(0, epoch, 0).caption for epoch in range(20)}
    assert len(drawn) == 2


def test_the_first_caption_is_drawn_as_often_as_asked(shapes_store: Path) -> None:
    data = dataset(shapes_store, captions="one_per_image", first_caption_share=0.75)
    draws = [
        data.pairings[0].pair(epoch, position)[1] % 2 == 0 for epoch in range(50) for position in range(24)
    ]
    assert 0.70 < sum(draws) / len(draws) < 0.80
    always = dataset(shapes_store, captions="one_per_image", first_caption_share=1.0)
    assert {always.sample(0, epoch, 3).caption for epoch in range(20)} == {always.sample(0, 0, 3).caption}


def test_ready_made_rows_stand_in_for_pictures_and_views_alternate(shapes_store: Path) -> None:
    views = tuple(np.full((24, 4), view, dtype=np.float16) for view in range(3))
    data = dataset(shapes_store, ImageRows(views), transform=None, policy=None)
    drawn = {float(data.sample(0, epoch, 5).image[0]) for epoch in range(40)}
    assert drawn == {0.0, 1.0, 2.0}
    sampler = GlobalBatchSampler(data.mixture(), batch_size=4, steps=1)
    batch = next(iter(pair_loader(data, sampler, workers=0, context_length=52)))
    assert batch.pixels is None and batch.image_rows is not None and batch.image_rows.dtype == torch.float32


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_keeps_its_place_and_remedy(shapes_store: Path, workers: int) -> None:
    data = dataset(shapes_store, transform=BrokenTransform(16))
    sampler = GlobalBatchSampler(data.mixture(), batch_size=4, steps=2)
    with pytest.raises(ImageError, match="no pixels today") as error:
        list(pair_loader(data, sampler, workers=workers, context_length=52))
    assert error.value.where == "here" and error.value.fix == "try tomorrow"
