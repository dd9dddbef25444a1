"""What every tower shares: it can be locked, checks its input, and starts from a given generator."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from cnclip.errors import CnclipError


class Tower(nn.Module):
    """A part of the model that can be locked.

    Attributes:
        locked: the tower keeps evaluation mode whatever `train()` asks, and makes no autograd graph.
    """

    locked: bool = False

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except on a locked tower: its BatchNorm and dropout must not move."""
        return super().train(mode and not self.locked)


def check_pixels(pixel_values: Tensor, resolution: int) -> None:
    """Refuse pixels that are not [B, 3, resolution, resolution].

    Raises:
        CnclipError: another shape.
    """
    if pixel_values.shape[1:] != (3, resolution, resolution):
        raise CnclipError(
            f"this image tower takes [B, 3, {resolution}, {resolution}], not {list(pixel_values.shape)}",
            fix="use the preprocess that load_from_name returns with the model",
        )


def saves_graph(*tensors: Tensor) -> bool:
    """Whether autograd will look at any of these again, so that they must not be overwritten in place."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def init_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """torch's default for a linear layer, U(-1/sqrt(inputs), 1/sqrt(inputs)), from a given generator."""
    bound = linear.in_features**-0.5
    nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
    nn.init.uniform_(linear.bias, -bound, bound, generator=generator)
