"""N_k by hand, against scipy, and against blind chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from cnclip.evaluation.insight.hubness import find_hubness, skewness
from cnclip.evaluation.insight.neighbours import Found, nearest


def found(items: list[list[int]], scores: list[list[float]], correct: list[list[bool]]) -> Found:
    """As `find_neighbours` gives it; the best wrong items play no part here."""
    places = np.array(items)
    nothing = np.full(len(places), -1)
    return Found(places, np.array(scores, dtype=np.float32), np.array(correct), nothing, nothing)


def test_four_queries_and_four_items_by_hand() -> None:
    one = found([[0], [0], [0], [1]], [[0.9], [0.4], [0.6], [0.5]], [[True], [False], [False], [True]])
    hubs = find_hubness(one, np.arange(4), 4)  # N_1 = 3, 1, 0, 0; mean 1, variance 6/4, third moment 6/4
    assert (hubs.k, hubs.queries, hubs.items) == (1, 4, 4)
    assert hubs.skewness == pytest.approx(1.5 / 1.5**1.5)
    assert hubs.never == 50
    assert hubs.top_share == 75  # of the one most found item
    assert hubs.chance_skewness == pytest.approx((1 - 2 / 4) / (4 * 1 / 4 * 3 / 4) ** 0.5)
    assert hubs.chance_never == pytest.approx(100 * 0.75**4)
    # binomial(4, 1/4): 3 with 12/256, 4 with 1/256, and of 2 as much as makes a quarter
    expected = (3 * 12 + 4 * 1 + 2 * (64 - 13)) / 256
    assert hubs.chance_top_share == pytest.approx(100 * expected)
    assert hubs.shares[0] == 0
    assert hubs.shares[25] == pytest.approx(100)  # half of the items take all places
    assert not hubs.tells


def test_a_hub_is_listed_with_the_queries_it_deceives_the_most_similar_first() -> None:
    one = found([[0], [0], [0], [1]], [[0.9], [0.4], [0.6], [0.5]], [[True], [False], [False], [True]])
    (hub,) = find_hubness(one, np.arange(4), 4).hubs
    assert (hub.item, hub.count, hub.right) == (0, 3, 1)
    assert hub.score == pytest.approx((0.9 + 0.4 + 0.6) / 3)
    assert [victim.query for victim in hub.victims] == [2, 1]
    assert [victim.score for victim in hub.victims] == pytest.approx([0.6, 0.4])


def test_an_item_that_many_queries_rightly_find_is_no_hub() -> None:
    many = [[0]] * 30 + [[1]] * 5
    correct = [[True]] * 30 + [[False]] * 5
    hubs = find_hubness(found(many, [[0.5]] * 35, correct), np.arange(35), 40)
    assert [(hub.item, hub.count, hub.right) for hub in hubs.hubs] == [(1, 5, 0)]
    assert hubs.top_share == pytest.approx(100 * 30 / 35)
    assert hubs.wrong_top_share == pytest.approx(100 * 5 / 35)


def test_a_popular_picture_that_is_found_by_right_makes_no_hubs() -> None:
    items = [[0]] * 60 + [[item] for item in range(1, 40)]
    popular = find_hubness(found(items, [[0.5]] * 99, [[True]] * 99), np.arange(99), 40)
    assert popular.tells and popular.top_share > 60 and popular.wrong_top_share == 0
    wrong = find_hubness(found(items, [[0.5]] * 99, [[False]] * 60 + [[True]] * 39), np.arange(99), 40)
    assert (popular.has_hubs, wrong.has_hubs) == (False, True)


def test_an_item_behind_the_right_one_is_told_from_one_before_it() -> None:
    one = found(
        [[1, 0], [2, 0], [3, 0], [0, 4], [0, 5]],
        [[0.9, 0.8], [0.9, 0.8], [0.9, 0.8], [0.5, 0.4], [0.6, 0.4]],
        [[True, False], [True, False], [True, False], [False, False], [False, True]],
    )
    (hub,) = find_hubness(one, np.arange(5), 30).hubs
    assert (hub.item, hub.count, hub.right, hub.before) == (0, 5, 0, 2)
    found_before = [victim.query for victim in hub.victims]
    assert found_before == [4, 3, 0], "those that it keeps from the right one come first"


def test_only_the_queries_that_are_asked_count() -> None:
    one = found([[0], [0], [1]], [[0.9], [0.4], [0.6]], [[False]] * 3)
    hubs = find_hubness(one, np.array([0, 2]), 2)
    assert hubs.queries == 2
    assert (hubs.skewness, hubs.never) == (0, 0)  # each item is found once


@given(st.lists(st.integers(0, 50), min_size=2, max_size=60))
def test_skewness_is_that_of_scipy(counts: list[int]) -> None:
    values = np.array(counts)
    expected = float(skew(values)) if len(set(counts)) > 1 else 0.0
    assert skewness(values) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), queries=st.integers(2, 30), items=st.integers(2, 30))
def test_counts_are_those_of_all_similarities_sorted(seed: int, queries: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.standard_normal((count, 4)) for count in (items, queries)]
    images, texts = ((row / np.linalg.norm(row, axis=1, keepdims=True)).astype(np.float32) for row in rows)
    pairs = np.stack([rng.integers(0, items, queries), np.arange(queries)], axis=1)
    hubs = find_hubness(nearest(images, texts, pairs, 3).t2i, np.arange(queries), items)
    first = np.argsort(-(texts.astype(np.float64) @ images.T.astype(np.float64)), axis=1)[:, :3]
    counts = [int((first == item).any(axis=1).sum()) for item in range(items)]
    assert hubs.skewness == pytest.approx(skewness(np.array(counts)))
    assert hubs.never == pytest.approx(100 * counts.count(0) / items)
    assert hubs.top_share == pytest.approx(100 * max(counts) / sum(counts))
    for hub in hubs.hubs:
        assert hub.count == counts[hub.item]
        right = [int(image) == hub.item and hub.item in first[text] for image, text in pairs]
        assert hub.right == sum(right)


def test_blind_queries_are_as_uneven_as_chance_says() -> None:
    rng = np.random.default_rng(3)
    queries, items = 3000, 2000
    drawn = np.argpartition(rng.random((queries, items)), 10, axis=1)[:, :10]
    blind = found(drawn.tolist(), np.zeros((queries, 10)).tolist(), np.zeros((queries, 10), bool).tolist())
    hubs = find_hubness(blind, np.arange(queries), items)
    assert hubs.tells
    assert hubs.top_share == pytest.approx(hubs.chance_top_share, rel=0.03)
    assert hubs.skewness == pytest.approx(hubs.chance_skewness, abs=0.15)
    assert hubs.never == pytest.approx(hubs.chance_never, abs=0.1)
