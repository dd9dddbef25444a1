"""Batches without equal pictures or captions, as far as there are batches to part them."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.batches import Address, Addresses, GlobalBatchSampler, Mixture
from cnclip.batches.distinct import deal
from cnclip.batches.order import WINDOW
from cnclip.batches.randomness import Numbers


def repeats(groups: list[Numbers], order: Numbers, batches: int) -> int:
    """Samples whose picture or caption came before in the same batch."""
    parts = [group[order].reshape(batches, -1) for group in groups]
    return sum(len(batch) - len(np.unique(batch)) for part in parts for batch in part)


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 30), st.randoms(use_true_random=False))
def test_every_sample_stays_and_groups_that_can_be_parted_are(
    batches: int, size: int, kinds: int, random: object
) -> None:
    count = batches * size
    group = np.array([random.randrange(kinds) for _ in range(count)])  # type: ignore[attr-defined]
    dealt = deal([group], batches)
    assert np.array_equal(np.sort(dealt.order), np.arange(count))
    sizes = np.unique(group, return_counts=True)[1]
    assert dealt.misfits == np.maximum(sizes - batches, 0).sum()
    if dealt.misfits == 0:
        assert repeats([group], dealt.order, batches) == 0
    else:
        assert repeats([group], dealt.order, batches) <= dealt.misfits


def test_by_hand() -> None:
    dealt = deal([np.array([7, 7, 7, 7, 8, 9])], 3)
    assert dealt.misfits == 1
    parts = dealt.order.reshape(3, 2).tolist()
    assert all(len({0, 1, 2, 3} & set(part)) == 1 for part in parts[:2])
    assert parts[2] == [2, 3]  # the fourth 7 has no batch of its own: it comes last


@given(st.integers(1, 60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_pictures_and_captions_at_once_lose_no_sample(images: int, captions: int, random: object) -> None:
    draw = random.randrange  # type: ignore[attr-defined]
    groups = [np.array([draw(kinds) for _ in range(64)]) for kinds in (images, captions)]
    dealt = deal(groups, 8)
    assert np.array_equal(np.sort(dealt.order), np.arange(64))
    assert repeats(groups, dealt.order, 8) <= 2 * dealt.misfits


def test_pictures_with_five_captions_of_which_some_are_common_are_all_parted() -> None:
    random = np.random.default_rng(1)
    images, captions = np.repeat(np.arange(400), 5), np.arange(2000)
    captions[random.choice(2000, 300, replace=False)] = np.repeat(np.arange(50) + 5000, 6)
    order = random.permutation(2000)[:1600]
    groups = [images[order], captions[order]]
    assert repeats(groups, np.arange(1600), 8) > 200
    dealt = deal(groups, 8)
    assert dealt.misfits == 0 and repeats(groups, dealt.order, 8) == 0


def fifths(addresses: Addresses) -> list[Numbers]:
    """Five neighbouring samples of a store share a picture."""
    return [addresses.stores * 1000 + addresses.positions // 5]


def picture(address: Address) -> tuple[int, int]:
    return address[0], address[2] // 5


@pytest.mark.parametrize("weights", [None, [1.0, 1.0]])
def test_no_batch_of_a_run_holds_a_picture_twice(weights: list[float] | None) -> None:
    mixture = Mixture([200, 100], seed=3, weights=weights)
    plain = list(GlobalBatchSampler(mixture, batch_size=20, steps=30))
    sampler = GlobalBatchSampler(mixture, batch_size=20, steps=30, groups=fifths)
    batches = list(sampler)
    twice = [
        sum(len(batch) - len({picture(each) for each in batch}) for batch in run) for run in (plain, batches)
    ]
    assert twice[0] > 50 and twice[1] == sampler.misfits == 0
    assert sampler.dealt == 600
    for epoch in range(2):
        own = slice(15 * epoch, 15 * epoch + 15)
        assert sorted(chain.from_iterable(batches[own])) == sorted(chain.from_iterable(plain[own]))
        for first in range(15 * epoch, 15 * epoch + 15, WINDOW):  # samples stay within their window
            window = slice(first, min(first + WINDOW, 15 * epoch + 15))
            assert sorted(chain.from_iterable(batches[window])) == sorted(chain.from_iterable(plain[window]))


@given(st.integers(1, 4), st.integers(0, 40), st.integers(1, 45))
def test_dealt_batches_are_the_same_from_any_step_and_for_any_number_of_processes(
    processes: int, first_step: int, steps: int
) -> None:
    mixture = Mixture([150, 90], seed=9)
    whole = list(GlobalBatchSampler(mixture, batch_size=12, steps=45, groups=fifths))
    first_step = min(first_step, steps)
    shares = [
        list(
            GlobalBatchSampler(
                mixture, batch_size=12 // processes, steps=steps, first_step=first_step, rank=rank,
                processes=processes, groups=fifths,
            )
        )
        for rank in range(processes)
    ]  # fmt: skip
    assert [[*chain.from_iterable(parts)] for parts in zip(*shares, strict=True)] == whole[first_step:steps]
