"""Several stores as one: exact proportions, every sample in its turn, the same whatever is asked first."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.batches import Address, GlobalBatchSampler, Mixture
from cnclip.errors import RecipeError


def epoch_of(mixture: Mixture, epoch: int) -> list[Address]:
    return mixture.addresses(epoch, 0, len(mixture)).each()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 99), st.integers(0, 10**6))
def test_without_weights_every_sample_of_every_store_comes_once_an_epoch(
    lengths: list[int], seed: int, epoch: int
) -> None:
    found = epoch_of(Mixture(lengths, seed=seed), epoch)
    expected = [
        (store, epoch, position) for store, length in enumerate(lengths) for position in range(length)
    ]
    assert sorted(found) == expected


@given(
    st.lists(st.tuples(st.integers(2, 40), st.floats(0.2, 5.0)), min_size=1, max_size=4),
    st.integers(0, 99),
    st.integers(0, 20),
)
def test_with_weights_each_store_gives_its_share_and_is_used_up_before_it_repeats(
    parts: list[tuple[int, float]], seed: int, epochs: int
) -> None:
    lengths, weights = [length for length, _ in parts], [weight for _, weight in parts]
    try:
        mixture = Mixture(lengths, seed=seed, weights=weights)
    except RecipeError:
        return  # a share of nothing
    total = sum(lengths)
    assert len(mixture) == sum(mixture.counts) == total
    for count, weight in zip(mixture.counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) < 1
    seen: Counter[Address] = Counter()
    for epoch in range(epochs):
        found = epoch_of(mixture, epoch)
        assert Counter(store for store, _, _ in found) == dict(enumerate(mixture.counts))
        seen.update(found)
    assert max(seen.values(), default=1) == 1  # never the same sample twice in one pass over its store
    for store, (length, count) in enumerate(zip(lengths, mixture.counts, strict=True)):
        drawn = Counter(position for (of, _, position) in seen if of == store)
        turns, rest = divmod(count * epochs, length)
        assert sum(drawn.values()) == count * epochs
        assert set(drawn.values()) <= {turns, turns + 1}
        assert sum(number == turns + 1 for number in drawn.values()) == rest


def test_a_small_store_with_a_large_weight_runs_through_many_orders_of_its_own() -> None:
    mixture = Mixture([2, 998], seed=1, weights=[1, 1])
    found = [(epoch, position) for store, epoch, position in epoch_of(mixture, 0) if store == 0]
    assert mixture.counts == (500, 500) and sorted({epoch for epoch, _ in found}) == list(range(250))
    firsts = Counter(epoch % 2 for epoch, position in found if position == 0)
    assert firsts == {0: 125, 1: 125}


def test_any_part_of_an_epoch_can_be_asked_for_alone() -> None:
    mixture = Mixture([30, 50], seed=4, weights=[2, 1])
    whole = epoch_of(mixture, 3)
    assert [*mixture.addresses(3, 0, 33).each(), *mixture.addresses(3, 33, 47).each()] == whole
    assert [mixture.addresses(3, place, 1).each()[0] for place in range(80)] == whole


def test_stores_are_mixed_in_every_batch() -> None:
    mixture = Mixture([3000, 1000], seed=1)
    batches = list(GlobalBatchSampler(mixture, batch_size=400, steps=10))
    shares = [sum(store == 1 for store, _, _ in batch) for batch in batches]
    assert sum(shares) == 1000 and min(shares) > 70 and max(shares) < 130


def test_a_mixture_of_a_hundred_million_is_at_hand_at_once() -> None:
    mixture = Mixture([10**8, 10**6], seed=1, weights=[0.9, 0.1])
    found = mixture.addresses(7, 60_000_000, 4096)
    assert len(set(found.each())) == 4096
    assert abs(int((found.stores == 1).sum()) - 410) < 100
    assert found.positions[found.stores == 0].max() > 90_000_000


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]]
)
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(RecipeError, match=r"data\.weights"):
        Mixture([5, 5], seed=1, weights=weights)
    with pytest.raises(RecipeError, match=r"store 2 .* no sample"):
        Mixture([5, 5], seed=1, weights=[1.0, 1e-9])


def test_addresses_keep_their_order_when_some_are_taken() -> None:
    found = Mixture([9, 4], seed=2).addresses(0, 0, 13)
    order = np.array([5, 2, 2])
    assert found.at(order).each() == [found.each()[place] for place in order]
