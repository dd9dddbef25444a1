"""Ready-made image features in place of an image tower: one linear projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnclip.errors import CnclipError
from cnclip.towers.tower import Tower


class FeatureProjection(Tower):
    """Ready-made features [B, W] -> features [B, D].

    Args:
        width: W, the length of a ready-made row.
        embed_dim: D.
    """

    def __init__(self, *, width: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Parameter(torch.empty(width, embed_dim))

    def forward(self, rows: Tensor) -> Tensor:
        """Float [B, W] -> [B, D], not normalised."""
        width = self.proj.shape[0]
        if rows.shape[1:] != (width,):
            raise CnclipError(f"this model takes ready-made features [B, {width}], not {list(rows.shape)}")
        return rows @ self.proj

    def init_weights(self, generator: torch.Generator) -> None:
        """N(0, 1/W), as the projection of the vision transformer."""
        nn.init.normal_(self.proj, std=self.proj.shape[0] ** -0.5, generator=generator)
