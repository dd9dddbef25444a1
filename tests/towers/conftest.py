from __future__ import annotations

import pytest
import torch

from cnclip.towers.bert import BertTower
from cnclip.towers.vit import VisionTransformer


@pytest.fixture
def vit() -> VisionTransformer:
    tower = VisionTransformer(width=32, layers=2, heads=4, patch_size=8, resolution=32, embed_dim=16)
    with torch.no_grad():
        tower.init_weights(torch.Generator().manual_seed(3))
    return tower.eval()


@pytest.fixture
def bert() -> BertTower:
    tower = BertTower(hidden=32, layers=2, heads=4, intermediate=64, vocab_size=50, max_positions=12)
    with torch.no_grad():
        tower.init_weights(torch.Generator().manual_seed(3))
    return tower.eval()


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def token_ids() -> torch.Tensor:
    return torch.tensor([[1, 7, 9, 2, 0, 0, 0], [1, 8, 2, 0, 0, 0, 0], [1, 4, 5, 6, 2, 0, 0]])
