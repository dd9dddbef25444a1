"""Values of a recipe that have a type but no meaning: refused before anything is computed."""

from __future__ import annotations

import math

from cnclip.config.recipe import TrainRecipe
from cnclip.errors import RecipeError

_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "log_every_steps": (1, math.inf),
    "threads": (0, math.inf),
    "model.embed_dim": (1, math.inf),
    "model.logit_scale": (1.0, 100.0),
    "model.image.patch_dropout": (0.0, 0.99),
    "data.batch_size": (1, math.inf),
    "data.workers": (0, math.inf),
    "data.context_length": (3, 512),
    "data.first_caption_share": (0.0, 1.0),
    "data.cached_views": (0, math.inf),
    "optimizer.lr": (0.0, math.inf),
    "optimizer.lr_batch_size": (0, math.inf),
    "optimizer.image_lr_factor": (0.0, math.inf),
    "optimizer.beta1": (0.0, 0.999999),
    "optimizer.beta2": (0.0, 0.999999),
    "optimizer.eps": (0.0, 1.0),
    "optimizer.weight_decay": (0.0, math.inf),
    "optimizer.clip_norm": (0.0, math.inf),
    "schedule.epochs": (0.0, math.inf),
    "schedule.steps": (0, math.inf),
    "schedule.warmup_steps": (0, math.inf),
    "validation.every_steps": (0, math.inf),
    "validation.batch_size": (1, math.inf),
    "saving.every_steps": (0, math.inf),
    "saving.keep_last": (1, math.inf),
}


def check_ranges(recipe: TrainRecipe) -> None:
    """Every number of a recipe lies where it can mean something.

    Raises:
        RecipeError: the first one that does not, with its range.
    """
    for key, (low, high) in _RANGES.items():
        value: object = recipe
        for part in key.split("."):
            value = getattr(value, part)
        assert isinstance(value, (int, float))
        if not low <= value <= high:
            raise RecipeError(f"{key}={value} means nothing", fix=f"a value from {low:g} to {high:g}")
