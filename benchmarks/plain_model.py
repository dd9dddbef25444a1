"""The peer of benchmarks/inference.py and load.py: a Chinese CLIP model in the plain way of the original.

Sequence first, nn.MultiheadAttention, QuickGELU in two passes, a text tower that keeps query, key and value
apart and computes every position of all 52; weights take the original's way from the file into the model. It
loads the official names strictly and gives the official features; the benchmarks check that first.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnclip.architecture import BertArchitecture, ClipArchitecture, ResNetArchitecture, VitArchitecture


class QuickGelu(nn.Module):
    def forward(self, inner: Tensor) -> Tensor:
        return inner * torch.sigmoid(1.702 * inner)


class WideLayerNorm(nn.LayerNorm):
    """Counts in float32 whatever comes in."""

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden.float()).to(hidden.dtype)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1 = WideLayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, width * 4))
        self.mlp.add_module("gelu", QuickGelu())
        self.mlp.add_module("c_proj", nn.Linear(width * 4, width))
        self.ln_2 = WideLayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        normed = self.ln_1(hidden)
        hidden = hidden + self.attn(normed, normed, normed, need_weights=False)[0]
        output: Tensor = hidden + self.mlp(self.ln_2(hidden))
        return output


class Blocks(nn.Module):
    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))


class PlainVit(nn.Module):
    def __init__(self, image: VitArchitecture, embed_dim: int) -> None:
        super().__init__()
        patch, width = image.patch_size, image.width
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn((image.resolution // patch) ** 2 + 1, width))
        self.ln_pre = WideLayerNorm(width)
        self.transformer = Blocks(width, image.layers, image.heads)
        self.ln_post = WideLayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_dim))

    def forward(self, pixels: Tensor) -> Tensor:
        cells = self.conv1(pixels).flatten(2).permute(0, 2, 1)
        first = self.class_embedding + torch.zeros(len(cells), 1, cells.shape[-1])
        hidden = self.ln_pre(torch.cat([first, cells], dim=1) + self.positional_embedding)
        hidden = self.transformer.resblocks(hidden.permute(1, 0, 2)).permute(1, 0, 2)
        features: Tensor = self.ln_post(hidden[:, 0]) @ self.proj
        return features


class PlainBottleneck(nn.Module):
    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(planes, planes * 4, 1, bias=False), nn.BatchNorm2d(planes * 4)
        self.downsample = None
        if stride > 1 or inputs != planes * 4:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(inputs, planes * 4, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(planes * 4))

    def forward(self, image: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(image)))
        inner = self.avgpool(F.relu(self.bn2(self.conv2(inner))))
        residual = image if self.downsample is None else self.downsample(image)
        return F.relu(self.bn3(self.conv3(inner)) + residual)


class PlainPool(nn.Module):
    def __init__(self, side: int, width: int, heads: int, embed_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(side**2 + 1, width))
        self.k_proj, self.q_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.c_proj = nn.Linear(width, width), nn.Linear(width, embed_dim)

    def forward(self, image: Tensor) -> Tensor:
        cells = image.flatten(2).permute(2, 0, 1)
        cells = torch.cat([cells.mean(0, keepdim=True), cells]) + self.positional_embedding[:, None]
        pooled, _ = F.multi_head_attention_forward(
            cells, cells, cells, cells.shape[-1], self.heads, None,
            torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]), None, None, False, 0.0,
            self.c_proj.weight, self.c_proj.bias, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
        )  # fmt: skip
        return pooled[0]


class PlainResNet(nn.Module):
    def __init__(self, image: ResNetArchitecture, embed_dim: int) -> None:
        super().__init__()
        half, width = image.width // 2, image.width
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        inputs = width
        for stage, blocks in enumerate(image.layers):
            planes = width * 2**stage
            made = [PlainBottleneck(inputs, planes, 1 if stage == 0 else 2)]
            made += [PlainBottleneck(planes * 4, planes, 1) for _ in range(1, blocks)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
            inputs = planes * 4
        self.attnpool = PlainPool(image.resolution // 32, width * 32, image.heads, embed_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        for number in (1, 2, 3):
            pixels = F.relu(self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(pixels)))
        pixels = F.avg_pool2d(pixels, 2)
        for number in (1, 2, 3, 4):
            pixels = self.get_submodule(f"layer{number}")(pixels)
        features: Tensor = self.attnpool(pixels)
        return features


class PlainSelfAttention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        batch, length, hidden = states.shape
        query, key, value = (
            linear(states).view(batch, length, self.heads, -1).permute(0, 2, 1, 3)
            for linear in (self.query, self.key, self.value)
        )
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(hidden // self.heads) + mask
        attended = torch.matmul(F.softmax(scores, dim=-1), value)
        return attended.permute(0, 2, 1, 3).contiguous().view(batch, length, hidden)


class PlainOutput(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(inputs, hidden), nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, states: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(states) + residual)
        return normed


class PlainLayer(nn.Module):
    def __init__(self, text: BertArchitecture) -> None:
        super().__init__()
        self.attention = nn.Module()
        self.attention.add_module("self", PlainSelfAttention(text.hidden, text.heads))
        self.attention.add_module("output", PlainOutput(text.hidden, text.hidden))
        self.intermediate = nn.Module()
        self.intermediate.add_module("dense", nn.Linear(text.hidden, text.intermediate))
        self.output = PlainOutput(text.intermediate, text.hidden)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        attended = self.attention.get_submodule("self")(states, mask)
        states = self.attention.get_submodule("output")(attended, states)
        inner = F.gelu(self.intermediate.get_submodule("dense")(states))
        output: Tensor = self.output(inner, states)
        return output


class PlainBert(nn.Module):
    def __init__(self, text: BertArchitecture) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        tables = (("word", text.vocab_size), ("position", text.max_positions), ("token_type", 2))
        for name, rows in tables:
            self.embeddings.add_module(f"{name}_embeddings", nn.Embedding(rows, text.hidden))
        self.embeddings.add_module("LayerNorm", nn.LayerNorm(text.hidden, eps=1e-12))
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(PlainLayer(text) for _ in range(text.layers))

    def forward(self, token_ids: Tensor) -> Tensor:
        tables = {name: self.embeddings.get_submodule(f"{name}_embeddings") for name in ("word", "position")}
        kinds = self.embeddings.get_submodule("token_type_embeddings")(torch.zeros_like(token_ids))
        places = tables["position"](torch.arange(token_ids.shape[1]))
        states = self.embeddings.get_submodule("LayerNorm")(tables["word"](token_ids) + places + kinds)
        mask = (token_ids == 0)[:, None, None, :] * -10000.0
        for layer in self.encoder.layer:  # type: ignore[union-attr]
            states = layer(states, mask)
        features: Tensor = states[:, 0]
        return features


class PlainClip(nn.Module):
    """Official names, strictly; `encode_image` and `encode_text` as the original computes them."""

    def __init__(self, architecture: ClipArchitecture) -> None:
        super().__init__()
        image, text = architecture.image, architecture.text
        vit = isinstance(image, VitArchitecture)
        self.visual = (PlainVit if vit else PlainResNet)(image, architecture.embed_dim)  # type: ignore[arg-type]
        self.bert = PlainBert(text)
        self.text_projection = nn.Parameter(torch.randn(text.hidden, architecture.embed_dim))
        self.logit_scale = nn.Parameter(torch.ones([]))

    def encode_image(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.visual(pixels)
        return features

    def encode_text(self, token_ids: Tensor) -> Tensor:
        features: Tensor = self.bert(token_ids) @ self.text_projection
        return features


def plain_load(path: Path, architecture: ClipArchitecture) -> PlainClip:
    """The original's way: a random model in half, the whole file in memory, a copy, float again."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model = PlainClip(architecture).half()
    model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return model.float().eval()
