"""Recalls of slices by hand, against plain loops, and what must not be taken for a finding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from cnclip.evaluation.insight.slice_statistics import (
    LEAST,
    Outcomes,
    SliceNumbers,
    measure_slices,
    members_of,
    within_correlation,
)
from cnclip.evaluation.insight.slice_verdicts import benjamini_hochberg, holm, verdicts
from cnclip.evaluation.statistics import bootstrap_means, intervals
from cnclip.evaluation.uncertainty import Draws

NO_DRAWS = Draws(0, 0)


def measured(masks: list[np.ndarray], outcomes: Outcomes, draws: Draws = NO_DRAWS) -> SliceNumbers:
    return measure_slices(members_of(masks, len(outcomes.ranks)), outcomes, draws)


def random_outcomes(pictures: int, each: int, seed: int = 0) -> Outcomes:
    """Queries of pictures that are more or less difficult."""
    rng = np.random.default_rng(seed)
    difficulty = np.repeat(rng.normal(size=pictures), each) + rng.normal(size=pictures * each)
    ranks = np.maximum(1, np.exp(1.2 * difficulty + 1.5)).astype(np.int64)
    return Outcomes(ranks, np.repeat(np.arange(pictures), each))


def test_recalls_of_a_slice_and_of_the_rest_by_hand() -> None:
    outcomes = Outcomes(np.array([1, 3, 10, 50, 1, 2]), np.array([7, 7, 9, 9, 4, 4]))
    inside = np.array([True, True, False, True, False, False])
    found = measured([inside], outcomes)
    assert (found.queries[0], found.groups[0]) == (3, 2)
    assert found.means["r1"][0] == pytest.approx(100 / 3)
    assert found.means["r10"][0] == pytest.approx(200 / 3)
    # R@1, R@5, R@10 of ranks 1, 3, 50: 100, 66.7, 0; of the rest, ranks 10, 1, 2: 33.3, 100, 66.7
    assert found.means["mean_recall"][0] == pytest.approx((100 + 200 / 3 + 0) / 3)
    assert found.means["difference"][0] == pytest.approx((500 / 3) / 3 - (100 / 3 + 100 + 200 / 3) / 3)
    assert np.isnan(found.p[0]) and np.isnan(found.spans["difference"]).all()
    assert verdicts(found, found.p) == ["few"]


def test_the_p_value_of_single_queries_is_that_of_students_test_with_the_variance_of_all() -> None:
    ranks = np.array([1] * 30 + [100] * 70)
    inside = np.zeros(100, dtype=bool)
    inside[[*range(15), *range(30, 40)]] = True  # 15 hits of 25; 15 of 75 outside
    found = measured([inside], Outcomes(ranks, np.arange(100)))
    error = 100 * np.sqrt(0.3 * 0.7 * (1 / 25 + 1 / 75))
    assert found.means["difference"][0] == pytest.approx(60 - 20)
    assert found.p[0] == pytest.approx(2 * student.sf(40 / error, 24))
    assert found.margin[0] == pytest.approx(student.ppf(0.975, 24) * error)


def test_a_slice_and_its_complement_differ_alike() -> None:
    inside = np.arange(1000) < 970  # the smaller of the two decides how sure one can be
    outcomes = random_outcomes(1000, 1, seed=8)
    found = measured([inside, ~inside], outcomes)
    assert found.p[0] == pytest.approx(found.p[1])
    assert found.margin[0] == pytest.approx(found.margin[1])


def test_whole_pictures_whose_captions_all_agree_count_once_each() -> None:
    once = random_outcomes(200, 1, seed=3)
    fivefold = Outcomes(np.repeat(once.ranks, 5), np.repeat(once.groups, 5))
    inside = np.arange(200) < 40
    alone, together = measured([inside], once), measured([np.repeat(inside, 5)], fivefold)
    assert within_correlation(fivefold.values()[:, 2], fivefold.groups) == pytest.approx(1.0)
    assert together.p[0] == pytest.approx(alone.p[0])
    assert together.queries[0] == 5 * alone.queries[0] and together.groups[0] == alone.groups[0]


def test_the_correlation_within_groups_by_hand() -> None:
    # Two groups of two: means 0 and 10; mean squares between 100, within (0 + 0 + 2 + 2) / 2 = 2... by hand
    values, place = np.array([0.0, 0.0, 9.0, 11.0]), np.array([0, 0, 1, 1])
    between, within = 2 * 25 + 2 * 25, (1 + 1) / 2
    assert within_correlation(values, place) == pytest.approx((between - within) / (between + within))
    assert within_correlation(np.array([1.0, 2.0]), np.array([0, 1])) == 0
    assert within_correlation(np.array([5.0, 5.0, 5.0, 5.0]), place) == 0


def test_no_hit_among_twenty_is_no_finding_where_hits_are_rare() -> None:
    ranks = np.full(1000, 500)
    ranks[100:150] = 1  # 5 % of all
    inside = np.arange(1000) < LEAST
    found = measured([inside], Outcomes(ranks, np.arange(1000)), Draws(500, 0))
    assert found.spans["difference"][0][1] < 0, "the bootstrap alone would call this certain"
    assert found.p[0] > 0.2
    assert verdicts(found, holm(found.p)) == ["same"]


def test_a_slice_that_is_far_worse_is_called_so_and_its_opposite_better() -> None:
    outcomes = random_outcomes(200, 3)
    order = np.argsort(outcomes.ranks, kind="stable")
    inside = np.zeros(600, dtype=bool)
    inside[order[-300:]] = True
    found = measured([inside, ~inside], outcomes, Draws(200, 0))
    assert verdicts(found, holm(found.p)) == ["worse", "better"]
    assert found.means["difference"][0] == pytest.approx(-found.means["difference"][1])


def test_slices_that_are_drawn_by_lot_are_seldom_called_different() -> None:
    rng = np.random.default_rng(5)
    outcomes = random_outcomes(300, 5)
    queries = [rng.permutation(1500) < size for size in (20, 40, 100, 400) for _ in range(100)]
    pictures = [np.isin(outcomes.groups, rng.choice(300, 30, replace=False)) for _ in range(200)]
    for masks in (queries, pictures):
        p = measured(masks, outcomes).p
        assert 0.01 < np.nanmean(p < 0.05) < 0.09


def test_intervals_of_a_slice_are_those_of_a_plain_bootstrap() -> None:
    outcomes = random_outcomes(60, 3)
    inside = np.random.default_rng(1).random(180) < 0.4
    draws = Draws(300, 7)
    found = measured([inside], outcomes, draws)
    values = outcomes.values()[:, 2]
    columns = np.column_stack([values * inside, inside, values * ~inside, ~inside]).astype(float)
    means = bootstrap_means(columns, groups=outcomes.groups, samples=300, seed=7)
    within, rest = means[:, 0] / means[:, 1], means[:, 2] / means[:, 3]
    np.testing.assert_allclose(found.spans["mean_recall"][0], np.percentile(within, [2.5, 97.5]))
    np.testing.assert_allclose(found.spans["difference"][0], np.percentile(within - rest, [2.5, 97.5]))


def test_the_interval_of_all_but_a_few_queries_is_nearly_that_of_all() -> None:
    outcomes = random_outcomes(400, 1)
    inside = np.arange(400) >= LEAST
    found = measured([inside], outcomes, Draws(500, 0))
    whole = intervals(outcomes.values(), groups=outcomes.groups, samples=500)[2]
    np.testing.assert_allclose(found.spans["mean_recall"][0], (whole.low, whole.high), atol=1)


def test_a_slice_with_too_few_queries_pictures_or_others_gets_no_verdict() -> None:
    outcomes = random_outcomes(100, 4)
    few_queries, few_pictures = np.arange(400) < LEAST - 1, np.arange(400) < 4 * (LEAST - 1)
    enough = np.arange(400) < 4 * LEAST
    found = measured([few_queries, few_pictures, ~few_pictures, enough], outcomes, Draws(50, 0))
    assert np.isnan(found.p).tolist() == [True, True, True, False]
    assert np.isnan(found.spans["r1"][:, 0]).tolist() == [True, True, True, False]


def test_many_slices_are_drawn_in_parts_with_the_same_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = random_outcomes(80, 2)
    rng = np.random.default_rng(2)
    masks = [rng.random(160) < 0.5 for _ in range(7)]
    whole = measured(masks, outcomes, Draws(100, 0))
    monkeypatch.setattr("cnclip.evaluation.insight.slice_statistics._SLICES_AT_ONCE", 2)
    monkeypatch.setattr("cnclip.evaluation.insight.slice_statistics._BLOCK_WEIGHTS", 1000)
    parts = measured(masks, outcomes, Draws(100, 0))
    for name, span in whole.spans.items():
        np.testing.assert_allclose(parts.spans[name], span)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 5))
def test_sums_over_a_partition_are_those_of_all_queries(seed: int, each: int, ways: int) -> None:
    outcomes = random_outcomes(12, each, seed)
    place = np.random.default_rng(seed).integers(0, ways, size=12 * each)
    found = measured([place == way for way in range(ways)], outcomes)
    assert found.queries.sum() == 12 * each
    for column, name in enumerate(("r1", "r10", "mean_recall")):
        total = np.nansum(found.means[name] * found.queries)
        assert total == pytest.approx(outcomes.values()[:, column].sum())
    for way in range(ways):
        inside = place == way
        if inside.any():
            assert found.means["mean_recall"][way] == pytest.approx(outcomes.values()[inside, 2].mean())
            assert found.groups[way] == len(set(outcomes.groups[inside].tolist()))


def test_corrected_p_values_by_hand() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    # Holm: .005*4, .01*3, .03*2, .04*1, never falling. Benjamini-Hochberg: .005*4, .01*2, .03*4/3, .04
    np.testing.assert_allclose(holm(p), [0.03, np.nan, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.02, np.nan, 0.04, 0.04, 0.02])
    assert holm(np.array([0.7, 0.6])).tolist() == [1.0, 1.0]
    assert holm(np.empty(0)).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrected_p_values_agree_with_scipy_and_keep_their_order(values: list[float]) -> None:
    p = np.array(values)
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    order = np.argsort(p, kind="stable")
    assert (np.diff(holm(p)[order]) >= 0).all()
    assert (holm(p) >= benjamini_hochberg(p) - 1e-12).all()
