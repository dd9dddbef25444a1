"""Stretch an image tower's position table to another picture size."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from cnclip.errors import CheckpointError, UnknownNameError

Interpolation = Literal["cn_clip", "antialias"]


def check_interpolation(interpolation: str) -> None:
    """Refuse a word that is no interpolation.

    Raises:
        UnknownNameError: with the known ones.
    """
    if interpolation not in get_args(Interpolation):
        known = ", ".join(get_args(Interpolation))
        raise UnknownNameError(f"interpolation={interpolation!r} is unknown", fix=f"one of: {known}")


def resize_positions(table: Tensor, tokens: int, interpolation: Interpolation = "cn_clip") -> Tensor:
    """Bicubic on the square of places; the first row ([CLS], or the mean of a ResNet's pool) stays.

    Args:
        table: float [1 + n², W].
        tokens: 1 + m².
        interpolation: "cn_clip" aligns the corners, as the original does; "antialias" aligns the edges and
            filters when the table shrinks, as newer vision transformers do.

    Returns:
        float32 [1 + m², W]; the table itself where nothing changes.

    Raises:
        CheckpointError: the table is not that of a square.
        UnknownNameError: another interpolation.
    """
    check_interpolation(interpolation)
    if len(table) == tokens:
        return table
    old, new = math.isqrt(len(table) - 1), math.isqrt(tokens - 1)
    if old * old != len(table) - 1 or new * new != tokens - 1:
        raise CheckpointError(
            f"{len(table)} positions cannot become {tokens}: it takes a square of places and one more"
        )
    table = table.float()
    grid = table[1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)  # [1, W, n, n]
    aligned = interpolation == "cn_clip"
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=aligned, antialias=not aligned)
    return torch.cat((table[:1], grid.permute(0, 2, 3, 1).flatten(0, 2)))
