"""Learning rates, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.errors import RecipeError
from cnclip.training.schedule import learning_rate, scaled_learning_rate


def test_warm_up_is_linear_then_half_a_cosine_to_zero() -> None:
    rates = [learning_rate(step, peak=1.0, warmup_steps=4, steps=12) for step in range(12)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0 and rates[8] == pytest.approx(0.5)
    assert rates[11] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


@given(st.integers(1, 400), st.floats(0.0, 0.99), st.floats(1e-7, 1.0))
def test_rate_never_leaves_its_range_and_falls_after_the_warm_up(
    steps: int, share: float, peak: float
) -> None:
    warmup = int(steps * share)
    rates = [learning_rate(step, peak=peak, warmup_steps=warmup, steps=steps) for step in range(steps)]
    assert all(0.0 < rate <= peak * (1 + 1e-12) for rate in rates)
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_a_warm_up_longer_than_the_run_is_an_error() -> None:
    with pytest.raises(RecipeError, match="100 warm-up steps"):
        learning_rate(0, peak=1.0, warmup_steps=100, steps=100)


def test_rate_follows_the_global_batch() -> None:
    assert scaled_learning_rate(5e-5, batch_size=128, reference_batch_size=1024, scaling="linear") == 5e-5 / 8
    assert scaled_learning_rate(4.0, batch_size=64, reference_batch_size=1024, scaling="sqrt") == 1.0
    assert scaled_learning_rate(4.0, batch_size=64, reference_batch_size=1024, scaling="none") == 4.0
    assert scaled_learning_rate(4.0, batch_size=64, reference_batch_size=0, scaling="linear") == 4.0
