"""Metrics of classification by hand, and against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from cnclip.errors import SourceError
from cnclip.evaluation.class_metrics import (
    average_precision_11,
    average_precisions,
    macro_f1,
    mean_average_precision,
    mean_per_class_interval,
    precisions,
    resampled,
    roc_auc,
)

SEEDS = st.integers(0, 2**32 - 1)


def flags(*values: int) -> np.ndarray:
    return np.array(values, dtype=bool)


def marks(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int8)


def plain_ap(scores: np.ndarray, shown: np.ndarray) -> float:
    """VOC 2007's procedure in plain loops; equal scores: negatives first."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], shown[i]))
    points = []
    for end in range(1, len(order) + 1):
        hits = sum(int(shown[i]) for i in order[:end])
        points.append((hits, hits / end))
    total = int(shown.sum())
    best = [max((p for hits, p in points if 10 * hits >= step * total), default=0.0) for step in range(11)]
    return 100 * sum(best) / 11


def test_roc_auc_by_hand_a_tie_counts_half() -> None:
    assert roc_auc(np.array([0.9, 0.8, 0.3]), flags(1, 0, 0)) == 100
    assert roc_auc(np.array([0.9, 0.8, 0.3]), flags(0, 1, 0)) == 50
    assert roc_auc(np.array([0.5, 0.5, 0.5]), flags(1, 0, 0)) == 50
    assert roc_auc(np.array([0.5, 0.5, 0.1]), flags(1, 0, 0)) == 75
    with pytest.raises(SourceError, match="both classes"):
        roc_auc(np.array([0.5, 0.4]), flags(1, 1))


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(2, 40), st.integers(1, 20))
def test_roc_auc_equals_scikit_learn_with_ties_and_weights(seed: int, items: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, items) / values
    positive = rng.permutation(np.arange(items) < rng.integers(1, items))
    assert roc_auc(scores, positive) == pytest.approx(100 * roc_auc_score(positive, scores))
    weights = rng.integers(1, 4, items)
    repeated = roc_auc_score(np.repeat(positive, weights), np.repeat(scores, weights))
    assert roc_auc(scores, positive, weights) == pytest.approx(100 * repeated)


def test_eleven_point_precision_by_hand() -> None:
    # right, wrong, right: recall 0 to 0.5 at precision 1, 0.6 to 1 at 2/3 -> (6 + 5 * 2/3) / 11
    scores = np.array([0.9, 0.8, 0.7])
    assert average_precision_11(scores, marks(1, 0, 1)) == pytest.approx(100 * (6 + 10 / 3) / 11)
    assert average_precision_11(scores, marks(1, 0, 0)) == pytest.approx(100)
    assert average_precision_11(scores, marks(0, 0, 1)) == pytest.approx(100 / 3)
    assert average_precision_11(scores, marks(0, 0, 0)) is None


def test_equal_scores_put_the_negatives_first_and_unjudged_pictures_are_not_there() -> None:
    assert average_precision_11(np.array([0.5, 0.5]), marks(1, 0)) == pytest.approx(50)
    assert average_precision_11(np.array([0.9, 0.5]), marks(-1, 1)) == pytest.approx(100)


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 30), st.integers(1, 12))
def test_eleven_point_precision_equals_plain_loops(seed: int, items: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, items) / values
    shown = rng.integers(0, 2, items).astype(np.int8)
    shown[rng.integers(items)] = 1
    assert average_precision_11(scores, shown) == pytest.approx(plain_ap(scores, shown))
    weights = rng.integers(0, 3, items)
    if (weights * shown).any():
        repeated = plain_ap(np.repeat(scores, weights), np.repeat(shown, weights))
        assert average_precision_11(scores, shown, weights) == pytest.approx(repeated)


def test_the_mean_leaves_out_classes_without_pictures() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.9, 0.3]])
    each = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.int8)
    assert average_precisions(scores, each) == [100, 100, None]
    assert mean_average_precision(scores, each) == 100
    with pytest.raises(SourceError, match="no picture shows"):
        mean_average_precision(scores, np.zeros((2, 3), dtype=np.int8))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(4, 60), st.integers(2, 8))
def test_macro_numbers_equal_scikit_learn(seed: int, items: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, classes, (2, items))
    truth[:2] = 0, 1
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    assert macro_f1(confusion) == pytest.approx(100 * f1_score(truth, predicted, average="macro"))
    if set(predicted) <= set(truth):
        balanced = 100 * balanced_accuracy_score(truth, predicted)
        assert mean_per_class_interval(confusion, samples=2).value == pytest.approx(balanced)


def test_precision_is_unknown_where_a_class_was_never_predicted() -> None:
    assert precisions(np.array([[2, 1, 0], [1, 2, 0], [1, 0, 0]])) == [50, pytest.approx(200 / 3), None]


def test_the_interval_of_a_mean_per_class_is_a_point_where_all_is_right_and_covers_the_value() -> None:
    sure = mean_per_class_interval(np.diag([3, 50, 7]))
    assert (sure.low, sure.value, sure.high) == (100, 100, 100)
    unsure = mean_per_class_interval(np.array([[30, 10], [5, 5]]))
    assert unsure.value == 62.5 and 45 < unsure.low < 62.5 < unsure.high < 85
    assert unsure == mean_per_class_interval(np.array([[30, 10], [5, 5]]))
    with pytest.raises(SourceError, match="nothing to resample"):
        mean_per_class_interval(np.zeros((2, 2), dtype=np.int64))


def test_resampling_leaves_out_draws_that_the_metric_refuses() -> None:
    scores, positive = np.array([0.9, 0.1]), flags(1, 0)
    span = resampled(lambda weights: roc_auc(scores, positive, weights), 2, samples=50)
    assert (span.low, span.value, span.high) == (100, 100, 100)


def test_the_interval_of_a_metric_with_a_maximum_in_it_stands_around_its_value() -> None:
    rng = np.random.default_rng(3)
    shown = (rng.random((400, 4)) < 0.05).astype(np.int8)
    scores = rng.normal(size=(400, 4))  # by chance: the maximum over few pictures is biased most
    span = resampled(lambda weights: mean_average_precision(scores, shown, weights), 400, samples=200)
    below, above = span.value - span.low, span.high - span.value
    assert below > 0 and above > 0 and 1 / 4 < below / above < 4
