"""The learning rate as a function of the step, and its size as a function of the global batch."""

from __future__ import annotations

import math
from typing import Literal

from cnclip.errors import RecipeError

LearningRateScaling = Literal["linear", "sqrt", "none"]


def scaled_learning_rate(
    rate: float, *, batch_size: int, reference_batch_size: int, scaling: LearningRateScaling
) -> float:
    """The peak rate for a global batch, from one that is known for `reference_batch_size` pairs.

    linear: rate · ratio (Goyal et al. 2017); sqrt: rate · √ratio (Malladi et al. 2022, for Adam).
    """
    if scaling == "none" or reference_batch_size == 0:
        return rate
    ratio = batch_size / reference_batch_size
    return rate * (ratio if scaling == "linear" else math.sqrt(ratio))


def learning_rate(step: int, *, peak: float, warmup_steps: int, steps: int) -> float:
    """Rate of optimizer step `step` (from 0): linear up to `peak`, then half a cosine down to zero.

    Raises:
        RecipeError: the warm-up does not fit into the run.
    """
    if warmup_steps >= steps:
        raise RecipeError(
            f"{warmup_steps} warm-up steps do not fit into {steps} steps",
            fix=f"schedule.warmup_steps below {steps}, or a longer run",
        )
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))
