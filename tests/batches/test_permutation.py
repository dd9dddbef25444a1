"""The computed order: a permutation of any length, even over all orders, another one each epoch."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.batches.permutation import Permutation
from cnclip.batches.randomness import CAPTION, ORDER, Draws, Numbers, below, share

SHORT = [1, 2, 3, 4, 5, 7, 8, 9, 13, 31, 32, 33, 97, 255, 256, 257, 1023, 1024, 1025, 9973, 65537]


def orders(length: int, epochs: int, seed: int = 1) -> Numbers:
    """int64 [epochs, length]: the whole order of each epoch."""
    places, numbers = np.tile(np.arange(length), epochs), np.repeat(np.arange(epochs), length)
    return Permutation(length, ORDER, seed, 0).at(places, numbers).reshape(epochs, length)


def excess(counts: Numbers, expected: Numbers | float) -> float:
    """Chi-square of counts, in standard deviations above what chance gives."""
    freedom = len(counts) - 1
    return (float(((counts - expected) ** 2 / expected).sum()) - freedom) / (2 * freedom) ** 0.5


@pytest.mark.parametrize("length", SHORT)
def test_each_number_stands_at_one_place(length: int) -> None:
    for order in orders(length, 3):
        assert np.array_equal(np.sort(order), np.arange(length))


@given(st.integers(1, 3000), st.integers(0, 2**31 - 1), st.integers(0, 10**12))
def test_any_length_seed_and_epoch_gives_a_permutation(length: int, seed: int, epoch: int) -> None:
    order = Permutation(length, ORDER, seed, 0).at(np.arange(length), np.full(length, epoch))
    assert np.array_equal(np.sort(order), np.arange(length))


@given(st.integers(1, 2**62), st.integers(0, 2**31 - 1))
def test_neighbours_of_any_length_stay_apart_and_within(length: int, seed: int) -> None:
    places = np.unique(np.linspace(0, length - 1, 50).astype(np.int64) % length)
    found = Permutation(length, ORDER, seed, 0).at(places, np.full(len(places), 2))
    assert len(np.unique(found)) == len(places) and found.min() >= 0 and found.max() < length


@pytest.mark.parametrize("length", [10**8, 10**12, 2**40 - 1, 2**40 + 1])
def test_a_long_order_is_spread_evenly_and_repeats_nothing(length: int) -> None:
    places = np.arange(length - 100_000, length)
    found = Permutation(length, ORDER, 5, 0).at(places, np.zeros(100_000, dtype=np.int64))
    assert len(np.unique(found)) == 100_000 and found.min() >= 0 and found.max() < length
    assert abs(excess(np.bincount(found * 100 // length, minlength=100), 1000.0)) < 5


def test_one_place_alone_and_among_others_gives_the_same_number() -> None:
    permutation = Permutation(1000, ORDER, 1, 0)
    together = permutation.at(np.arange(1000), np.arange(1000) % 7)
    for place in (0, 1, 500, 999):
        assert permutation.at(np.array([place]), np.array([place % 7]))[0] == together[place]


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6])
def test_short_orders_are_all_equally_likely(length: int) -> None:
    drawn = 400 * factorial(length)
    found = orders(length, drawn) @ 10 ** np.arange(length)
    counts = np.unique(found, return_counts=True)[1]
    assert len(counts) == factorial(length)
    assert excess(counts, drawn / factorial(length)) < 5


@pytest.mark.parametrize("length", [24, 100, 1000, 10007])
def test_neither_neighbours_nor_epochs_show_a_pattern(length: int) -> None:
    found = orders(length, max(3, 300_000 // length))
    for differences, first in (
        ((found[:, 1:] - found[:, :-1]) % length, 1),
        ((found[1:] - found[:-1]) % length, 0),
    ):
        possible = length - first  # neighbours are never equal
        bins = min(possible, 64)
        counts = np.bincount((differences.ravel() - first) * bins // possible, minlength=bins)
        widths = np.bincount(np.arange(possible) * bins // possible)
        assert excess(counts, widths * differences.size / possible) < 5
    at_home = (found == np.arange(length)).sum(axis=1)
    assert 0.7 < at_home.mean() < 1.3 or len(found) < 100  # fixed points of a random order: one


def test_seeds_and_stores_have_orders_of_their_own() -> None:
    places, epochs = np.arange(1000), np.zeros(1000, dtype=np.int64)
    made = [Permutation(1000, ORDER, seed, store).at(places, epochs) for seed in (1, 2) for store in (0, 1)]
    for one in range(4):
        for other in range(one):
            assert (made[one] == made[other]).sum() < 10


def test_draws_are_even_and_their_halves_independent() -> None:
    numbers = np.arange(60_000)
    words = Draws(CAPTION, 1, 0).words(numbers // 100, numbers % 100)
    sixths, tenths = below(words, np.full(60_000, 6)), (share(words) * 10).astype(np.int64)
    assert excess(np.bincount(sixths * 10 + tenths, minlength=60), 1000.0) < 5
    assert (below(words, np.ones(60_000, dtype=np.int64)) == 0).all()
