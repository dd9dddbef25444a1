"""Which picture and caption a sample stands for, one at a time and many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.batches.pairing import Pairing, _Chosen
from cnclip.stores.reader import StoreReader

MakeStore = Callable[[str, Mapping[str, Sequence[str]]], StoreReader]


def test_pictures_without_captions_are_passed_over(make_store: MakeStore) -> None:
    captions = {f"图{number}": ["猫", "一只猫", "白猫"][: number % 4] for number in range(40)}
    store = make_store("一", captions)
    pairing = Pairing(store, captions="one_per_image", seed=1)
    assert store.header.unreferenced_images == 10 and len(pairing) == 30
    for epoch in range(3):
        found = [pairing.pair(epoch, position) for position in range(30)]
        assert [store.image_id(image) for image, _ in found] == [
            name for name, own in captions.items() if own
        ]
        for image, text in found:
            assert store.text(text).image_ids == (store.image_id(image),)


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("captions", ["every_pair", "one_per_image"])
def test_many_at_once_are_the_same_as_one_at_a_time(
    captions: str, share: float, make_store: MakeStore
) -> None:
    store = make_store("一", {f"图{number}": ["甲", "乙", "丙"][: 1 + number % 3] for number in range(20)})
    pairing = Pairing(store, number=2, captions=captions, first_caption_share=share, seed=5)  # type: ignore[arg-type]
    epochs, positions = np.repeat(np.arange(3), len(pairing)), np.tile(np.arange(len(pairing)), 3)
    images, texts = pairing.pairs(epochs, positions)
    each = [
        pairing.pair(epoch, position)
        for epoch, position in zip(epochs.tolist(), positions.tolist(), strict=True)
    ]
    assert list(zip(images.tolist(), texts.tolist(), strict=True)) == each


def test_captions_of_a_picture_are_drawn_alike_and_by_store_and_seed(make_store: MakeStore) -> None:
    store = make_store("一", {"图": ["甲", "乙", "丙", "丁"]})

    def drawn(number: int, seed: int) -> list[int]:
        pairing = Pairing(store, number=number, captions="one_per_image", seed=seed)
        return pairing.pairs(np.arange(4000), np.zeros(4000, dtype=np.int64))[1].tolist()

    first = drawn(0, 1)
    assert all(900 < first.count(text) < 1100 for text in range(4))
    assert drawn(0, 1) == first and drawn(1, 1) != first and drawn(0, 2) != first


@given(st.integers(1, 3000), st.randoms(use_true_random=False))
def test_the_numbers_that_occur_are_found_by_their_rank(count: int, random: object) -> None:
    draw = random.randrange  # type: ignore[attr-defined]
    occurring = np.array([draw(count) for _ in range(draw(1, 2 * count + 1))])
    chosen, expected = _Chosen(occurring, count), np.unique(occurring)
    assert len(chosen) == len(expected)
    assert np.array_equal(chosen.at(np.arange(len(expected))), expected)
