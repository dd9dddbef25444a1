"""False negatives stop a training only where they would harm it: in the store trained on, beyond masking."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from cnclip.stores.doctor import Checkup, CheckupOptions, Tools, check_stores
from cnclip.stores.reader import StoreReader

MakeStore = Callable[..., StoreReader]
Picture = Callable[[int], Image.Image]
Encode = Callable[..., bytes]


def grades(checkup: Checkup) -> dict[str, str]:
    """Store -> grade of its finding on false negatives."""
    return {found.where: found.grade for found in checkup.findings if found.code == "false-negatives"}


@pytest.fixture
def plain(make_store: MakeStore, picture: Picture, encode: Encode) -> StoreReader:
    """Forty pictures, a caption each."""
    rows = [(f"{n}.png", encode(picture(n)), [f"第{n}张图里是风景{'甲乙丙丁'[n % 4]}"]) for n in range(40)]
    return make_store(rows, "plain")


@pytest.fixture
def five_each(make_store: MakeStore, picture: Picture, encode: Encode) -> StoreReader:
    """Forty other pictures with five captions each, as in Flickr30k: every batch of them all meets."""
    rows = [
        (f"{n}.png", encode(picture(n)), [f"图{n}的第{turn}种说法" for turn in range(5)])
        for n in range(100, 140)
    ]
    return make_store(rows, "five")


def test_a_validation_store_with_five_captions_a_picture_does_not_stop_the_training(
    plain: StoreReader, five_each: StoreReader, tools: Tools
) -> None:
    options = CheckupOptions(batch_size=16)
    trained_on_it = check_stores([five_each], tools, options)
    beside_it = check_stores([plain, five_each], tools, options)
    assert list(grades(trained_on_it).values()) != ["note"]
    assert list(grades(beside_it).values()) == ["note"] and beside_it.should_train


def test_a_store_smaller_than_a_batch_is_a_warning_where_the_mask_cures_it(
    five_each: StoreReader, tools: Tools
) -> None:
    small = check_stores([five_each], tools, CheckupOptions(batch_size=4096))
    assert list(grades(small).values()) == ["warning"] and small.should_train


def test_a_full_batch_of_pairs_that_share_pictures_is_an_error(five_each: StoreReader, tools: Tools) -> None:
    full = check_stores([five_each], tools, CheckupOptions(batch_size=200))
    assert list(grades(full).values()) == ["error"] and not full.should_train
