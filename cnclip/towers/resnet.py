"""ModifiedResNet of CLIP (Radford et al. 2021, section 2.4): pooled strides, attention pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnclip.towers.attention import by_head
from cnclip.towers.tower import Tower, check_pixels, init_linear

EXPANSION = 4
TOTAL_STRIDE = 32


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; a stride is an average pool, never a strided convolution."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(inputs, outputs, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(outputs))

    def forward(self, image: Tensor) -> Tensor:
        """[B, inputs, H, H] -> [B, 4·planes, H/stride, H/stride]."""
        residual = image if self.downsample is None else self.downsample(image)
        inner = F.relu(self.bn1(self.conv1(image)), inplace=True)
        inner = F.relu(self.bn2(self.conv2(inner)), inplace=True)
        return F.relu(self.bn3(self.conv3(self.avgpool(inner))) + residual, inplace=True)


class AttentionPool(nn.Module):
    """Attention of the mean position over itself and all positions."""

    def __init__(self, positions: int, width: int, heads: int, embed_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(1 + positions, width))
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)

    def forward(self, image: Tensor) -> Tensor:
        """[B, W, H, H] -> [B, D]; only the mean's query is asked, since only its answer is used."""
        cells = image.flatten(2).transpose(1, 2)  # [B, H·H, W]
        cells = torch.cat((cells.mean(1, keepdim=True), cells), dim=1)
        cells = cells + self.positional_embedding.to(cells.dtype)
        query, key, value = (
            by_head(projected, self.heads)  # [B, heads, 1 or 1 + H·H, W / heads]
            for projected in (self.q_proj(cells[:, :1]), self.k_proj(cells), self.v_proj(cells))
        )
        pooled = F.scaled_dot_product_attention(query, key, value)
        features: Tensor = self.c_proj(pooled.transpose(1, 2).flatten(1))
        return features


class ModifiedResNet(Tower):
    """Pictures [B, 3, R, R] -> features [B, D].

    Args:
        layers: bottlenecks of each of the four stages; RN50 is (3, 4, 6, 3).
        width: channels after the stem; stage i has width·2^i planes, the pool 32·width channels.
        heads: of the attention pool; divides 32·width.
        resolution: pixels R, a multiple of 32.
        embed_dim: D.
    """

    def __init__(
        self, *, layers: Sequence[int], width: int, heads: int, resolution: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(2)
        self.layer1 = _stage(width, width, layers[0], stride=1)
        self.layer2 = _stage(width * 4, width * 2, layers[1], stride=2)
        self.layer3 = _stage(width * 8, width * 4, layers[2], stride=2)
        self.layer4 = _stage(width * 16, width * 8, layers[3], stride=2)
        self.attnpool = AttentionPool((resolution // TOTAL_STRIDE) ** 2, width * 32, heads, embed_dim)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Features, not normalised: float [B, 3, R, R] -> [B, D]."""
        check_pixels(pixel_values, self.resolution)
        hidden = pixel_values
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            hidden = F.relu(norm(conv(hidden)), inplace=True)
        hidden = self.avgpool(hidden)  # [B, width, R/4, R/4]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
        features: Tensor = self.attnpool(hidden)  # from [B, 32·width, R/32, R/32]
        return features

    def init_weights(self, generator: torch.Generator) -> None:
        """OpenAI's start: torch's defaults, attention pool N(0, 1/channels), last BatchNorm of a block 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                init_linear(module, generator)
        std = self.attnpool.positional_embedding.shape[1] ** -0.5
        nn.init.normal_(self.attnpool.positional_embedding, std=std, generator=generator)
        for name in ("q_proj", "k_proj", "v_proj", "c_proj"):
            projection = cast(nn.Linear, getattr(self.attnpool, name))
            nn.init.normal_(projection.weight, std=std, generator=generator)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)


def _stage(inputs: int, planes: int, blocks: int, *, stride: int) -> nn.Sequential:
    rest = (Bottleneck(planes * EXPANSION, planes, 1) for _ in range(1, blocks))
    return nn.Sequential(Bottleneck(inputs, planes, stride), *rest)
