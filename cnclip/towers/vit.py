"""Vision transformer of CLIP (Radford et al. 2021, section 2.4): pre-norm, QuickGELU, [CLS] feature."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cnclip.towers.attention import attend
from cnclip.towers.tower import Tower, check_pixels, init_linear, saves_graph

MLP_RATIO = 4
QUICK_GELU = 1.702


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor, *, first_only: bool = False) -> Tensor:
        """[B, L, W] -> [B, L or 1, W]."""
        attended: Tensor = self.out_proj(attend(hidden, self.in_proj, self.heads, first_only=first_only))
        return attended


class Mlp(nn.Module):
    def __init__(self, width: int, activation: Literal["quick_gelu", "gelu"]) -> None:
        super().__init__()
        self.activation = activation
        self.c_fc = nn.Linear(width, MLP_RATIO * width)
        self.c_proj = nn.Linear(MLP_RATIO * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, L, W] -> [B, L, W].

        QuickGELU x·sigmoid(1.702x) is SiLU(1.702x) / 1.702: in this form it needs no second tensor of
        width 4W in the forward pass, and keeps one less for the backward pass.
        """
        if self.activation == "gelu":
            inner = self.c_fc(hidden)
            inner = F.gelu(inner) if saves_graph(inner) else torch.ops.aten.gelu_(inner)
            projected: Tensor = self.c_proj(inner)
            return projected
        inner = _product(hidden, self.c_fc, QUICK_GELU, bias_scale=QUICK_GELU)
        inner = F.silu(inner, inplace=not saves_graph(inner))
        return _product(inner, self.c_proj, 1 / QUICK_GELU, bias_scale=1.0)


def _product(rows: Tensor, linear: nn.Linear, scale: float, *, bias_scale: float) -> Tensor:
    """scale·rows·Wᵀ + bias_scale·bias: the matrix product takes the scale along for nothing."""
    if type(linear) is not nn.Linear:  # an adapter's parts take no scale
        outputs: Tensor = linear(rows * scale) if bias_scale == 1.0 else linear(rows) * scale
        return outputs
    bias = linear.bias if bias_scale == 1.0 else linear.bias * bias_scale
    flat = torch.addmm(bias, rows.flatten(0, -2), linear.weight.t(), alpha=scale)
    return flat.view(*rows.shape[:-1], linear.out_features)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, activation: Literal["quick_gelu", "gelu"]) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width, activation)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, first_only: bool = False) -> Tensor:
        """[B, L, W] -> [B, L or 1, W]."""
        attended = self.attn(self.ln_1(hidden), first_only=first_only)
        hidden = (hidden[:, :1] if first_only else hidden) + attended
        output: Tensor = hidden + self.mlp(self.ln_2(hidden))
        return output


class Transformer(nn.Module):
    def __init__(
        self, width: int, layers: int, heads: int, activation: Literal["quick_gelu", "gelu"]
    ) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, activation) for _ in range(layers))
        self.activation_checkpointing = False

    def forward(self, hidden: Tensor, *, first_only: bool = False) -> Tensor:
        """[B, L, W] -> [B, L or 1, W]."""
        last = len(self.resblocks) - 1
        for index, block in enumerate(self.resblocks):
            only = first_only and index == last
            if self.activation_checkpointing and torch.is_grad_enabled():
                hidden = checkpoint(block, hidden, only, use_reentrant=False)
            else:
                hidden = block(hidden, only)
        return hidden


class VisionTransformer(Tower):
    """Pictures [B, 3, R, R] -> features [B, D].

    Args:
        width: channels W.
        layers: number of blocks.
        heads: divides `width`.
        patch_size: pixels P; divides `resolution`.
        resolution: pixels R of the square input.
        embed_dim: D.
        activation: of the feed-forward layers.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        patch_size: int,
        resolution: int,
        embed_dim: int,
        activation: Literal["quick_gelu", "gelu"] = "quick_gelu",
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.resolution = resolution
        patches = (resolution // patch_size) ** 2
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + patches, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, heads, activation)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, embed_dim))

    def forward(
        self, pixel_values: Tensor, *, patch_dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Features of the [CLS] token, not normalised: float [B, 3, R, R] -> [B, D].

        Args:
            pixel_values: normalised pixels.
            patch_dropout: share of patches that every picture leaves out, another choice for each
                (FLIP, Li et al. 2023).
            generator: where that choice comes from; needed with `patch_dropout`.
        """
        hidden = self._embed(pixel_values)
        if patch_dropout > 0.0:
            assert generator is not None, "patch dropout takes its randomness from a given generator only"
            hidden = drop_patches(hidden, patch_dropout, generator)
        hidden = self.transformer(self.ln_pre(hidden), first_only=True)
        features: Tensor = self.ln_post(hidden[:, 0]) @ self.proj
        return features

    def tokens(self, pixel_values: Tensor) -> Tensor:
        """Last hidden states of [CLS] and all patches after `ln_post`: [B, 3, R, R] -> [B, 1 + (R/P)², W]."""
        tokens: Tensor = self.ln_post(self.transformer(self.ln_pre(self._embed(pixel_values))))
        return tokens

    def _embed(self, pixel_values: Tensor) -> Tensor:
        """[B, 3, R, R] -> [B, 1 + (R/P)², W]; the patch convolution as one matrix product."""
        check_pixels(pixel_values, self.resolution)
        size = self.patch_size
        side = self.resolution // size
        grid = pixel_values.reshape(-1, 3, side, size, side, size)
        patches = grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # [B, (R/P)², 3·P·P]
        patches = F.linear(patches, self.conv1.weight.flatten(1))
        first = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        return torch.cat((first, patches), dim=1) + self.positional_embedding.to(patches.dtype)

    def init_weights(self, generator: torch.Generator) -> None:
        """OpenAI's start: tables N(0, 1/W), linear layers as torch's defaults, attention biases 0."""
        width = self.proj.shape[0]
        for table in (self.class_embedding, self.positional_embedding, self.proj):
            nn.init.normal_(table, std=width**-0.5, generator=generator)
        nn.init.kaiming_uniform_(self.conv1.weight, a=5**0.5, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                init_linear(module, generator)
        for module in self.modules():
            if isinstance(module, Attention):
                nn.init.xavier_uniform_(module.in_proj.weight, generator=generator)
                nn.init.zeros_(module.in_proj.bias)
                nn.init.zeros_(module.out_proj.bias)


def kept_patches(patches: int, patch_dropout: float) -> int:
    """How many of `patches` stay: 196 at 0.5 -> 98."""
    return int(patches * (1 - patch_dropout))


def drop_patches(hidden: Tensor, patch_dropout: float, generator: torch.Generator) -> Tensor:
    """Keep [CLS] and a random choice of patches of each picture: [B, 1 + N, W] -> [B, 1 + kept, W]."""
    batch, tokens, width = hidden.shape
    noise = torch.rand(batch, tokens - 1, generator=generator, device=generator.device)
    kept = noise.argsort(1)[:, : kept_patches(tokens - 1, patch_dropout)].to(hidden.device) + 1
    chosen = hidden.gather(1, kept[..., None].expand(-1, -1, width))
    return torch.cat((hidden[:, :1], chosen), dim=1)
