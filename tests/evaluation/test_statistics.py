"""Intervals and tests against formulas, scipy, and what must hold whatever the draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from cnclip.errors import SourceError
from cnclip.evaluation.statistics import (
    Difference,
    Interval,
    bootstrap_means,
    in_words,
    intervals,
    mcnemar,
    paired_difference,
)


def hits(count: int, share: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(count) < share).astype(np.float64) * 100


def test_the_interval_of_a_share_is_as_wide_as_its_standard_error_says() -> None:
    values = hits(2000, 0.3)
    share = values.mean() / 100
    found = intervals(values[:, None], samples=4000)[0]
    half = 196 * np.sqrt(share * (1 - share) / 2000)
    assert found.value == values.mean()
    assert found.high - found.value == pytest.approx(half, rel=0.1)
    assert found.value - found.low == pytest.approx(half, rel=0.1)


def test_queries_that_repeat_each_other_widen_the_interval() -> None:
    once = hits(400, 0.5)
    fivefold, groups = np.repeat(once, 5)[:, None], np.repeat(np.arange(400), 5)
    alone = intervals(once[:, None], samples=2000)[0]
    together = intervals(fivefold, groups=groups, samples=2000)[0]
    careless = intervals(fivefold, samples=2000)[0]
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert careless.high - careless.low < 0.6 * (alone.high - alone.low)


def test_groups_of_any_size_give_the_mean_over_queries() -> None:
    values = np.array([[1.0], [1.0], [1.0], [0.0]])
    means = bootstrap_means(values, groups=np.array([7, 7, 7, 9]), samples=500)
    assert set(np.round(means[:, 0], 6)) == {0.0, 0.75, 1.0}


def test_the_same_seed_gives_the_same_draws_and_columns_share_them() -> None:
    values = hits(50, 0.4)
    both = np.stack([values, 2 * values], axis=1)
    one, again = bootstrap_means(both, seed=3), bootstrap_means(both, seed=3)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(one[:, 1], 2 * one[:, 0])
    assert not np.array_equal(one, bootstrap_means(both, seed=4))


def test_large_sets_are_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = hits(100, 0.5)[:, None]
    whole = bootstrap_means(values, samples=40)
    monkeypatch.setattr("cnclip.evaluation.statistics._BLOCK_DRAWS", 300)
    np.testing.assert_array_equal(bootstrap_means(values, samples=40), whole)


def test_equal_models_do_not_differ_and_a_better_one_does() -> None:
    first = hits(1000, 0.5)
    same = paired_difference(first, first.copy())
    assert not same.differs and same.p == 1 and same.mcnemar_p == 1
    second = np.where(np.arange(1000) % 10 == 0, 100.0, first)
    better = paired_difference(first, second)
    assert better.differs and better.interval.low > 0 and better.p <= 0.002
    assert better.first_only == 0 and better.second_only > 20 and better.mcnemar_p < 1e-6


def test_noise_is_called_a_difference_about_as_often_as_promised() -> None:
    called = sum(
        paired_difference(hits(300, 0.5, seed), hits(300, 0.5, seed + 1000), samples=200).differs
        for seed in range(200)
    )
    assert called <= 25  # 5 % of 200 would be 10


@pytest.mark.parametrize(("first", "second"), [(0, 5), (3, 9), (40, 40), (120, 180), (450, 540), (950, 1050)])
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_words_say_whether_two_models_differ() -> None:
    same = Difference(Interval(0.3, -0.5, 1.1), 0.4, 10, 12, 0.8)
    assert "没有可靠的差别" in in_words(same, "R@1", "甲", "乙")
    worse = Difference(Interval(-3.0, -4.0, -2.0), 0.002, 40, 10, 1e-5)
    assert in_words(worse, "R@1", "甲", "乙").startswith(
        "R@1：甲 好于 is better than 乙 (-3.00 [-4.00, -2.00]"
    )


def test_nothing_to_resample_is_an_error() -> None:
    with pytest.raises(SourceError, match="nothing to resample"):
        bootstrap_means(np.empty((0, 1)))
    with pytest.raises(SourceError, match="2 queries of the first"):
        paired_difference(np.zeros(2), np.zeros(3))


def test_a_handful_of_queries_gives_no_verdict_however_well_they_agree() -> None:
    few = paired_difference(np.zeros(5), np.full(5, 100.0))
    assert few.interval.low == 100 and few.mcnemar_p == pytest.approx(2 * 0.5**5)
    assert few.too_few and not few.differs
    assert "只有 5 个独立样本" in in_words(few, "R@1", "甲", "乙")
    assert "too few to tell 乙 from 甲" in in_words(few, "R@1", "甲", "乙")
    groups = np.repeat(np.arange(19), 5)  # 95 captions of 19 pictures
    captions = paired_difference(np.zeros(95), np.full(95, 100.0), groups=groups)
    assert not captions.differs and captions.grouped and not few.grouped
    assert paired_difference(np.zeros(20), np.full(20, 100.0)).differs
