"""Samples of several stores: each with its own picture, caption, row and group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from cnclip.batches import GlobalBatchSampler, ImageRows, PairDataset, SampleSettings, pair_loader
from cnclip.images.augment import AUGMENT_POLICIES, AugmentPolicy
from cnclip.images.transform import image_transform
from cnclip.stores.reader import StoreReader
from cnclip.text.synonyms import group_synonyms
from cnclip.text.vary import CaptionPolicy

MakeStore = Callable[[str, Mapping[str, Sequence[str]]], StoreReader]


def two_stores(make: MakeStore) -> list[StoreReader]:
    """Equal ids and partly equal captions in both."""
    one = make("一", {f"图{number}": [f"第{number}张", "图片"] for number in range(12)})
    return [one, make("二", {f"图{number}": [f"画{number}", "图片"] for number in range(6)})]


def settings(**changes: object) -> SampleSettings:
    values = {"seed": 3, "captions": "every_pair", "transform": image_transform(8), **changes}
    return SampleSettings(**values)  # type: ignore[arg-type]


def test_an_epoch_holds_every_pair_of_every_store(make_store: MakeStore) -> None:
    data = PairDataset(two_stores(make_store), settings())
    assert len(data) == len(data.mixture()) == 36
    sampler = GlobalBatchSampler(data.mixture(), batch_size=12, steps=3)
    batches = list(pair_loader(data, sampler, workers=0, context_length=20))
    texts = [store.text(index) for store in data.stores for index in range(store.text_count)]
    assert sorted(name for batch in batches for name in batch.text_ids) == sorted(
        text.text_id for text in texts
    )


def test_equal_captions_of_two_stores_have_one_group_and_equal_image_ids_two(make_store: MakeStore) -> None:
    data = PairDataset(two_stores(make_store), settings())
    addresses = data.mixture().addresses(0, 0, 36)
    samples = [data.sample(*address) for address in addresses.each()]
    images, captions = data.groups(addresses, "both")
    assert [sample.groups for sample in samples] == list(zip(images.tolist(), captions.tolist(), strict=True))
    assert len(set(images.tolist())) == 18 and len({sample.image_id for sample in samples}) == 12
    common = {sample.groups[1] for sample in samples if sample.caption == "图片"}
    assert len(common) == 1 and len(set(captions.tolist())) == 19
    assert len(data.groups(addresses, "images")) == len(data.groups(addresses, "captions")) == 1


def test_no_batch_of_a_mixture_holds_a_picture_or_caption_twice(make_store: MakeStore) -> None:
    stores = [
        make_store(name, {f"图{number}": [f"{name}{number}", f"共{number}"] for number in range(20)})
        for name in ("甲", "乙")
    ]
    data = PairDataset(stores, settings())
    groups = partial(data.groups, kind="both")
    sampler = GlobalBatchSampler(data.mixture([2.0, 1.0]), batch_size=10, steps=16, groups=groups)
    for batch in pair_loader(data, sampler, workers=0, context_length=20):
        for column in batch.groups.unbind(1):
            assert len(column.unique()) == 10
    assert sampler.misfits == 0


def test_each_store_has_rows_of_its_own(make_store: MakeStore) -> None:
    stores = two_stores(make_store)
    rows = [
        ImageRows((np.arange(store.image_count, dtype=np.float32)[:, None] + 100 * number,))
        for number, store in enumerate(stores)
    ]
    data = PairDataset(stores, settings(transform=None), rows=rows)
    for address in data.mixture().addresses(0, 0, 36).each():
        sample = data.sample(*address)
        assert float(sample.image) == 100 * address[0] + int(sample.image_id[1:])


def test_a_mirrored_picture_has_left_and_right_exchanged_in_its_caption(make_store: MakeStore) -> None:
    store = make_store("一", {f"图{number}": ["左边是白色"] for number in range(30)})
    data = PairDataset([store], settings(policy=AugmentPolicy(flip_probability=0.5)))
    samples = [data.sample(0, 0, position) for position in range(30)]
    for sample in samples:
        white_left = bool(sample.image[:, :, 0].eq(255).all())
        assert sample.caption == ("左边是白色" if white_left else "右边是白色")
        assert sample.groups[1] == samples[0].groups[1]
    assert 5 < sum(sample.caption.startswith("左") for sample in samples) < 25


def test_captions_vary_by_epoch_and_their_group_stays(make_store: MakeStore) -> None:
    store = make_store("一", {"图": ["红色的番茄，放在白色盘子里"], "影": ["一只猫"]})
    wording = CaptionPolicy(segment_shuffle=0.5, synonym_probability=1.0)
    synonyms = group_synonyms([["番茄", "西红柿"]])
    data = PairDataset([store], settings(wording=wording, synonyms=synonyms))
    again = PairDataset([store], settings(wording=wording, synonyms=synonyms))
    found = [data.sample(0, epoch, 0) for epoch in range(20)]
    assert [sample.caption for sample in found] == [again.sample(0, epoch, 0).caption for epoch in range(20)]
    assert len({sample.caption for sample in found}) > 1 and len({sample.groups for sample in found}) == 1
    assert all("西红柿" in sample.caption and "番茄" not in sample.caption for sample in found)


def test_stores_epochs_and_samples_are_augmented_in_ways_of_their_own(make_store: MakeStore) -> None:
    store = make_store("一", {"图": ["图"], "影": ["影"]})
    data = PairDataset([store, store], settings(policy=AUGMENT_POLICIES["strong"]))
    images = [data.sample(*address).image for address in [(0, 0, 0), (1, 0, 0), (0, 1, 0)]]
    assert not any(torch.equal(images[a], images[b]) for a, b in [(0, 1), (0, 2), (1, 2)])
    assert torch.equal(images[0], data.sample(0, 0, 0).image)
