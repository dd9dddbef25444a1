"""Calibration errors by hand, the fitted scale, and the halves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from cnclip.errors import SourceError
from cnclip.evaluation.calibration import (
    bin_by_confidence,
    calibrate,
    expected_calibration_error,
    fit_scale,
    halves,
    log_probabilities,
    negative_log_likelihood,
    reliability,
)


def drawn(scale: float, pictures: int = 4000, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Cosines, and labels drawn with the probabilities softmax(scale * cosine)."""
    rng = np.random.default_rng(7)
    cosines = rng.uniform(-0.3, 0.3, (pictures, classes)).astype(np.float32)
    probabilities = np.exp(log_probabilities(cosines, scale))
    labels = (rng.random((pictures, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return cosines, np.minimum(labels, classes - 1)


def test_calibration_error_by_hand() -> None:
    # bin (8/15, 9/15]: 0.55 and 0.6, one of two right; bin (14/15, 1]: 0.95, right
    confidence, right = np.array([0.55, 0.6, 0.95]), np.array([1.0, 0.0, 1.0])
    bins = bin_by_confidence(confidence, right)
    assert [each.images for each in bins] == [2, 1]
    assert expected_calibration_error(bins) == pytest.approx((2 * abs(57.5 - 50) + abs(95 - 100)) / 3)
    assert sum(each.images for each in bin_by_confidence(confidence, right, "mass")) == 3


def test_a_bin_includes_its_upper_end() -> None:
    bins = bin_by_confidence(np.array([1 / 15, 1 / 15 + 1e-9, 1.0, 0.0]), np.zeros(4))
    assert [each.images for each in bins] == [2, 1, 1]


def test_bins_of_equal_mass_hold_equally_many_pictures() -> None:
    confidence = np.linspace(0.5, 0.501, 45)
    assert [each.images for each in bin_by_confidence(confidence, np.ones(45), "mass")] == [3] * 15
    assert len(bin_by_confidence(confidence, np.ones(45))) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 6), st.floats(0.1, 80))
def test_likelihood_equals_scikit_learn(seed: int, pictures: int, classes: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-0.2, 0.2, (pictures, classes)).astype(np.float32)
    labels = rng.integers(0, classes, pictures)
    probabilities = np.exp(log_probabilities(cosines, scale))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    expected = log_loss(labels, probabilities, labels=np.arange(classes))  # it clips below 2e-16, scale 90
    assert negative_log_likelihood(cosines, labels, scale) == pytest.approx(expected, abs=1e-5)


def test_the_fitted_scale_is_the_one_that_made_the_labels_and_has_the_least_likelihood_loss() -> None:
    cosines, labels = drawn(8.0)
    scale = fit_scale(cosines, labels)
    assert scale == pytest.approx(8.0, rel=0.1)
    least = negative_log_likelihood(cosines, labels, scale)
    for other in (scale * 0.98, scale * 1.02):
        assert negative_log_likelihood(cosines, labels, other) > least


def test_fitting_repairs_an_overconfident_scale_on_pictures_it_never_saw() -> None:
    cosines, labels = drawn(8.0)
    found = calibrate(cosines, labels, [f"图{i}" for i in range(len(labels))], own_scale=50.0)
    assert (found.fitted_on, found.measured_on) == (2000, 2000)
    assert found.fixed.ece > found.own.ece > 30 > 4 > found.fitted.ece
    assert found.fitted.nll < found.own.nll < found.fixed.nll
    assert found.temperature == pytest.approx(50 / found.fitted.scale)
    assert found.fixed.scale == 100 and found.fitted.confidence == pytest.approx(found.accuracy, abs=4)


def test_halves_belong_to_the_names_not_to_their_order() -> None:
    ids = [f"图片-{number}" for number in range(11)]
    fit, held = halves(ids)
    assert len(fit) == 5 and sorted([*fit, *held]) == list(range(11))
    backwards = ids[::-1]
    assert {backwards[i] for i in halves(backwards)[0]} == {ids[i] for i in fit}
    with pytest.raises(SourceError, match="two pictures"):
        halves(["一"])


def test_a_tie_at_the_top_is_not_right() -> None:
    found = reliability(np.array([[0.5, 0.5], [0.5, 0.1]], dtype=np.float32), np.array([0, 0]), 10.0)
    assert sum(each.images * each.accuracy for each in found.bins) == 100


def test_equal_confidences_share_their_accuracy_whatever_their_order() -> None:
    # a model that says 50 % and is right half of the time is calibrated, in bins of either kind
    confidence, right = np.full(60, 0.5), np.array([0.0, 1.0] * 30)
    for binning in ("width", "mass"):
        assert expected_calibration_error(bin_by_confidence(confidence, right, binning)) == pytest.approx(0)  # type: ignore[arg-type]


def test_a_scale_at_the_end_of_the_search_is_no_temperature() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.3, 0.3, (400, 2)).astype(np.float32)
    names = [f"图{i}" for i in range(400)]
    worse_than_chance = cosines.argmin(axis=1)  # the less a model says, the better
    found = calibrate(cosines, worse_than_chance, names, own_scale=20.0)
    assert found.at_end and found.fitted.scale < 0.011
    cosines, labels = drawn(8.0, 400)
    assert not calibrate(cosines, labels, names, own_scale=20.0).at_end
    always_right = calibrate(cosines, cosines.argmax(axis=1), names, own_scale=20.0)
    assert always_right.at_end and always_right.fitted.scale > 9_000
