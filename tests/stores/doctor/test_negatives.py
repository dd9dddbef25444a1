"""Expected false negatives: equal to counting every batch there is, and to drawing many."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.stores.doctor.negatives import batch_outlook, count_mates, largest_batch


def share(pair: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two (caption, picture) pairs are false negatives of each other."""
    return pair[0] == other[0] or pair[1] == other[1]


def counted_in(batch: tuple[tuple[int, int], ...]) -> tuple[int, float]:
    """(unordered false negatives, share of rows with one) of one batch."""
    pairs = sum(share(one, two) for one, two in combinations(batch, 2))
    rows = sum(
        any(share(row, other) for place, other in enumerate(batch) if place != own)
        for own, row in enumerate(batch)
    )
    return pairs, rows / len(batch)


def mates_of(pairs: list[tuple[int, int]]) -> np.ndarray:
    captions, pictures = np.array(pairs).T
    return count_mates(captions, pictures)


def test_a_pair_has_as_many_mates_as_other_pairs_share_its_caption_or_its_picture() -> None:
    pairs = [(1, 10), (1, 11), (2, 11), (3, 12), (1, 10)]
    # (1,10): with (1,11), and its twin. (1,11): two with caption 1, one with picture 11. (3,12): alone.
    assert mates_of(pairs).tolist() == [2, 3, 1, 0, 2]


def test_two_pairs_of_one_caption_in_a_batch_of_two_of_four() -> None:
    found = batch_outlook(mates_of([(1, 1), (1, 2), (2, 3), (3, 4)]), 2)
    assert found.false_negatives == pytest.approx(1 / 6)  # 1 of the 6 batches is the bad one
    assert found.ordered == pytest.approx(2 / 6)
    assert found.rows_share == pytest.approx(1 / 6)


def test_label_data_is_all_false_negatives() -> None:
    found = batch_outlook(mates_of([(1, number) for number in range(5000)]), 256)
    assert found.false_negatives == pytest.approx(comb(256, 2))
    assert found.rows_share == pytest.approx(1.0)
    assert found.per_row == pytest.approx(255)


def test_five_captions_a_picture_as_in_flickr() -> None:
    pairs = [(5 * image + place, image) for image in range(200) for place in range(5)]
    found = batch_outlook(mates_of(pairs), 100)
    assert found.false_negatives == pytest.approx(200 * comb(5, 2) * comb(100, 2) / comb(1000, 2))
    assert found.rows_share == pytest.approx(1 - comb(900, 4) / comb(999, 4))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8),
    st.integers(1, 8),
)
def test_equal_to_the_mean_over_all_batches(pairs: list[tuple[int, int]], batch_size: int) -> None:
    batch_size = min(batch_size, len(pairs))
    batches = [counted_in(batch) for batch in combinations(pairs, batch_size)]
    found = batch_outlook(mates_of(pairs), batch_size)
    assert found.false_negatives == pytest.approx(np.mean([count for count, _ in batches]))
    assert found.rows_share == pytest.approx(np.mean([rows for _, rows in batches]))


def test_equal_to_a_simulation_within_its_error() -> None:
    rng = np.random.default_rng(3)
    pairs = [
        (int(c), int(p)) for c, p in zip(rng.integers(0, 60, 300), rng.integers(0, 150, 300), strict=True)
    ]
    drawn = np.array(
        [counted_in(tuple(pairs[i] for i in rng.choice(300, 24, replace=False))) for _ in range(1500)]
    )
    found = batch_outlook(mates_of(pairs), 24)
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert abs(drawn[:, 0].mean() - found.false_negatives) < 4 * error[0]
    assert abs(drawn[:, 1].mean() - found.rows_share) < 4 * error[1]


def test_the_largest_batch_keeps_the_share_and_one_more_does_not() -> None:
    mates = mates_of([(number // 2, number) for number in range(1000)])  # every pair has one mate
    largest = largest_batch(mates, 0.01)
    assert largest == 10  # (B - 1) / 999 <= 0.01
    assert batch_outlook(mates, largest).rows_share <= 0.01 < batch_outlook(mates, largest + 1).rows_share


def test_without_repeats_every_batch_is_clean() -> None:
    mates = mates_of([(number, number) for number in range(50)])
    assert batch_outlook(mates, 50).false_negatives == 0
    assert largest_batch(mates, 0.0) == 50
