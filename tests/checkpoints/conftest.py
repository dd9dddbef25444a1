from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cnclip.checkpoints.names import to_official
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, ResNetArchitecture, VitArchitecture

# Heads 64 wide, so that a bare file tells the whole architecture.
TEXT = BertArchitecture(hidden=64, layers=2, heads=1, intermediate=96, vocab_size=80, max_positions=20)
VIT = ClipArchitecture(24, VitArchitecture(width=128, layers=2, heads=2, patch_size=8, resolution=32), TEXT)
RESNET = ClipArchitecture(24, ResNetArchitecture((1, 2, 1, 1), width=8, heads=4, resolution=32), TEXT)


@pytest.fixture
def vit_architecture() -> ClipArchitecture:
    return VIT


@pytest.fixture
def vit() -> ChineseClip:
    return ChineseClip(VIT, seed=1).eval()


@pytest.fixture
def resnet() -> ChineseClip:
    model = ChineseClip(RESNET, seed=2)
    model(torch.randn(4, 3, 32, 32))  # moves the running statistics away from their start
    return model.eval()


@pytest.fixture
def official() -> Callable[[ChineseClip], dict[str, Tensor]]:
    """The state of a model under the names of cn_clip's files, with `module.` and a pooler."""

    def make(model: ChineseClip) -> dict[str, Tensor]:
        state = {f"module.{name}": tensor.clone() for name, tensor in to_official(model.state_dict()).items()}
        hidden = model.architecture.text.hidden
        state["module.bert.pooler.dense.weight"] = torch.zeros(hidden, hidden)
        state["module.bert.pooler.dense.bias"] = torch.zeros(hidden)
        return state

    return make


@pytest.fixture
def official_file(
    vit: ChineseClip, official: Callable[[ChineseClip], dict[str, Tensor]], tmp_path: Path
) -> Path:
    path = tmp_path / "clip_cn_微型.pt"
    torch.save({"epoch": 15, "step": 7, "name": "微型", "state_dict": official(vit)}, path)
    return path


@pytest.fixture
def same() -> Callable[[ChineseClip, ChineseClip], bool]:
    def compare(one: ChineseClip, other: ChineseClip) -> bool:
        first, second = one.state_dict(), other.state_dict()
        return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)

    return compare
