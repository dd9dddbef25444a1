from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cnclip.errors import CnclipError
from cnclip.towers.resnet import AttentionPool, Bottleneck, ModifiedResNet


def narrow(width: int, resolution: int, layers: tuple[int, int, int, int] = (1, 1, 1, 1)) -> ModifiedResNet:
    tower = ModifiedResNet(layers=layers, width=width, heads=width // 2, resolution=resolution, embed_dim=24)
    with torch.no_grad():
        tower.init_weights(torch.Generator().manual_seed(1))
    return tower


def test_attention_pool_equals_openais_whole_attention_at_position_zero() -> None:
    pool = AttentionPool(positions=9, width=32, heads=4, embed_dim=6)
    torch.nn.init.normal_(pool.positional_embedding)
    image = torch.randn(2, 32, 3, 3)
    cells = image.flatten(2).permute(2, 0, 1)  # [9, B, W], sequence first as in the original
    cells = torch.cat([cells.mean(0, keepdim=True), cells]) + pool.positional_embedding[:, None]
    whole, _ = F.multi_head_attention_forward(
        query=cells,
        key=cells,
        value=cells,
        embed_dim_to_check=32,
        num_heads=4,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        training=False,
        need_weights=False,
    )
    torch.testing.assert_close(pool(image), whole[0], atol=1e-6, rtol=1e-5)


def test_a_stride_is_an_average_pool() -> None:
    block = Bottleneck(8, 4, stride=2).eval()
    assert all(layer.stride == (1, 1) for layer in block.modules() if isinstance(layer, torch.nn.Conv2d))
    assert block(torch.randn(1, 8, 6, 6)).shape == (1, 16, 3, 3)
    assert [name for name, _ in block.downsample.named_parameters()] == ["0.weight", "1.weight", "1.bias"]
    assert Bottleneck(16, 4, stride=1).downsample is None


@pytest.mark.parametrize(("width", "resolution", "layers"), [(2, 32, (1, 1, 1, 1)), (8, 64, (2, 1, 3, 1))])
def test_narrow_and_shallow_ones_work(width: int, resolution: int, layers: tuple[int, int, int, int]) -> None:
    tower = narrow(width, resolution, layers)
    assert tower(torch.randn(2, 3, resolution, resolution)).shape == (2, 24)
    assert tower.attnpool.positional_embedding.shape == (1 + (resolution // 32) ** 2, 32 * width)


def test_fresh_blocks_pass_their_input_through() -> None:
    tower = narrow(8, 32, (1, 2, 1, 1))
    hidden = torch.rand(1, 64, 4, 4)
    assert torch.equal(tower.layer2[1].eval()(hidden), hidden)


def test_wrong_picture_size_names_both_sizes() -> None:
    with pytest.raises(CnclipError, match=r"\[B, 3, 64, 64\], not \[1, 3, 32, 32\]"):
        narrow(8, 64)(torch.zeros(1, 3, 32, 32))
