"""Stretch a vision transformer's position table to another picture size."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_positions(table: Tensor, tokens: int) -> Tensor:
    """Bicubic on the square of patches with aligned corners, as cn_clip does it; the [CLS] row stays.

    Args:
        table: float [1 + n², W].
        tokens: 1 + m².

    Returns:
        float [1 + m², W]; the table itself where nothing changes.
    """
    if len(table) == tokens:
        return table
    old, new = math.isqrt(len(table) - 1), math.isqrt(tokens - 1)
    assert old * old == len(table) - 1 and new * new == tokens - 1, "positions of a square of patches"
    grid = table[1:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)  # [1, W, n, n]
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=True)
    return torch.cat((table[:1], grid.permute(0, 2, 3, 1).flatten(0, 2).to(table.dtype)))
