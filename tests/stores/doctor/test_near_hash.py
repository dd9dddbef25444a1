"""The perceptual hash: exact by hand, steady under edits, and its neighbours found without missing one."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from cnclip.stores.doctor.near_hash import near_hash, near_pairs
from cnclip.stores.doctor.pictures import small_colours

NO_COLOUR = np.zeros(48, dtype=np.uint8)


def hash_of(image: Image.Image) -> int:
    return near_hash(small_colours(image).astype(np.int64) @ np.array([299, 587, 114]))


def apart(one: Image.Image, two: Image.Image) -> int:
    return (hash_of(one) ^ hash_of(two)).bit_count()


def pairs_of(
    hashes: list[int], colours: np.ndarray | None = None, radius: int = 6, **options: int
) -> set[tuple[int, int]]:
    if colours is None:
        colours = np.tile(NO_COLOUR, (len(hashes), 1))
    found = near_pairs(np.array(hashes, dtype=np.uint64), colours, radius, **options)
    return {
        (min(one, two), max(one, two))
        for first, second, _ in found
        for one, two in zip(first.tolist(), second.tolist(), strict=True)
    }


def test_a_single_cosine_sets_its_own_bit_highest() -> None:
    # cos(pi * (2x + 1) / 64) along x is frequency (0, 1): the first of the 64 after the constant.
    row = [round(1000 * math.cos(math.pi * (2 * x + 1) / 64)) for x in range(32)]
    found = near_hash(np.tile(np.array(row, dtype=np.int64), (32, 1)))
    assert found >> 63 == 1
    assert near_hash(np.tile(np.array(row, dtype=np.int64), (32, 1)) * -1) >> 63 == 0


def test_half_of_the_bits_of_a_picture_are_set(picture: Callable[[int], Image.Image]) -> None:
    assert all(hash_of(picture(seed)).bit_count() == 32 for seed in range(20))


def test_one_colour_has_no_bits() -> None:
    assert hash_of(Image.new("RGB", (50, 40), (200, 30, 30))) == 0


def test_the_bits_are_those_of_the_floating_point_transform(picture: Callable[[int], Image.Image]) -> None:
    grey = small_colours(picture(5)).astype(np.int64) @ np.array([299, 587, 114])
    x = np.arange(32)
    table = np.cos(np.pi * np.arange(12)[:, None] * (2 * x + 1) / 64)
    wide = table @ grey @ table.T
    order = sorted((u * u + v * v, u, v) for u in range(12) for v in range(12))[1:65]
    values = np.array([wide[u, v] for _, u, v in order])
    bits = values > np.median(values)
    assert near_hash(grey) == int("".join("1" if bit else "0" for bit in bits), 2)


@pytest.mark.parametrize("edit", ["recompressed", "half", "twice", "brighter", "less contrast"])
def test_edits_move_few_bits_and_another_picture_many(
    edit: str, picture: Callable[[int], Image.Image], encode: Callable[..., bytes]
) -> None:
    for seed in range(5):
        image = picture(seed)
        if edit == "recompressed":
            edited = Image.open(io.BytesIO(encode(image, "JPEG", quality=40)))
        elif edit in ("half", "twice"):
            factor = 0.5 if edit == "half" else 2
            edited = image.resize((int(96 * factor), int(72 * factor)), Image.Resampling.BICUBIC)
        elif edit == "brighter":
            edited = ImageEnhance.Brightness(image).enhance(1.1)
        else:
            edited = ImageEnhance.Contrast(image).enhance(0.8)
        assert apart(image, edited) <= 6
        assert apart(image, picture(seed + 100)) > 12


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=9)), max_size=12),
    st.integers(0, 8),
)
def test_equal_to_comparing_all_with_all(
    hashes: list[int], copies: list[tuple[int, set[int]]], radius: int
) -> None:
    for place, flips in copies:
        hashes = [*hashes, hashes[place % len(hashes)] ^ sum(1 << bit for bit in flips)]
    expected = {
        (one, two)
        for two in range(len(hashes))
        for one in range(two)
        if (hashes[one] ^ hashes[two]).bit_count() <= radius
    }
    assert pairs_of(hashes, radius=radius) == expected


def test_equal_hashes_of_other_colours_are_not_near() -> None:
    red = np.array([200, 30, 30] * 16, dtype=np.uint8)
    within, beyond = red.copy(), red.copy()
    within[20], beyond[20] = red[20] + 40, red[20] + 41  # one channel of one of the sixteen cells
    assert pairs_of([7, 7], np.stack([red, within])) == {(0, 1)}
    assert pairs_of([7, 7], np.stack([red, beyond])) == set()


def test_hearts_of_two_colours_on_white_are_not_near() -> None:
    hearts = []
    for colour in ((76, 175, 80), (156, 39, 176)):
        heart = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(heart).polygon([(32, 58), (6, 24), (18, 8), (32, 20), (46, 8), (58, 24)], fill=colour)
        hearts.append(heart)
    colours = np.stack(
        [small_colours(heart).reshape(4, 8, 4, 8, 3).mean(axis=(1, 3)).ravel() for heart in hearts]
    )
    assert apart(*hearts) <= 6
    assert pairs_of([hash_of(heart) for heart in hearts], colours.astype(np.uint8)) == set()


def test_a_crowded_bucket_is_bounded_and_told() -> None:
    colours = np.tile(NO_COLOUR, (50, 1))
    found = list(near_pairs(np.zeros(50, dtype=np.uint64), colours, 0, bucket_steps=3))
    assert sum(len(first) for first, _, _ in found) == 49 + 48 + 47
    assert sum(left_out for _, _, left_out in found) == 46


def test_nothing_is_near_to_nothing() -> None:
    assert pairs_of([]) == set()
