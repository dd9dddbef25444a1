from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnclip.errors import CnclipError
from cnclip.towers.vit import Mlp, VisionTransformer, drop_patches, kept_patches


def test_last_block_of_the_class_token_only_equals_the_whole_last_block(
    vit: VisionTransformer, pictures: Tensor
) -> None:
    tokens = vit.tokens(pictures)
    assert tokens.shape == (3, 17, 32)
    torch.testing.assert_close(vit(pictures), tokens[:, 0] @ vit.proj, atol=2e-6, rtol=1e-6)


def test_patch_product_equals_the_convolution(vit: VisionTransformer, pictures: Tensor) -> None:
    embedded = vit._embed(pictures) - vit.positional_embedding
    torch.testing.assert_close(embedded[:, 1:], vit.conv1(pictures).flatten(2).transpose(1, 2))
    torch.testing.assert_close(embedded[1, 0], vit.class_embedding)


@pytest.mark.parametrize(
    ("activation", "formula"), [("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)), ("gelu", F.gelu)]
)
def test_mlp_has_the_activation_with_and_without_a_graph_and_so_has_its_gradient(
    activation: Literal["quick_gelu", "gelu"], formula: Callable[[Tensor], Tensor]
) -> None:
    mlp = Mlp(8, activation).double()
    hidden = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    inner = F.linear(hidden, mlp.c_fc.weight, mlp.c_fc.bias)
    expected = F.linear(formula(inner), mlp.c_proj.weight, mlp.c_proj.bias)
    got = mlp(hidden)
    torch.testing.assert_close(got, expected)
    wanted = torch.autograd.grad(expected.square().sum(), [hidden, *mlp.parameters()])
    found = torch.autograd.grad(got.square().sum(), [hidden, *mlp.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        before = hidden.clone()
        torch.testing.assert_close(mlp(hidden), expected)
        assert torch.equal(hidden, before)


@pytest.mark.parametrize(
    ("patches", "kept"), [(196, (147, 98, 49)), (256, (192, 128, 64)), (576, (432, 288, 144))]
)
def test_kept_patches_of_the_official_sizes(patches: int, kept: tuple[int, int, int]) -> None:
    assert tuple(kept_patches(patches, share) for share in (0.25, 0.5, 0.75)) == kept


def test_dropped_patches_are_a_function_of_the_given_generator() -> None:
    hidden = torch.arange(2 * 17 * 4, dtype=torch.float32).view(2, 17, 4)
    state = torch.get_rng_state()
    kept = drop_patches(hidden, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert kept.shape == (2, 9, 4)
    assert torch.equal(kept[:, 0], hidden[:, 0])
    for row in range(2):
        chosen = set(kept[row, 1:, 0].tolist())
        assert len(chosen) == 8 and chosen < set(hidden[row, 1:, 0].tolist())
    assert set((kept[0, 1:, 0] / 4).tolist()) != set(((kept[1, 1:, 0] - 68) / 4).tolist())
    assert torch.equal(kept, drop_patches(hidden, 0.5, torch.Generator().manual_seed(1)))
    assert not torch.equal(kept, drop_patches(hidden, 0.5, torch.Generator().manual_seed(2)))


def test_patch_dropout_needs_a_generator_and_acts(vit: VisionTransformer, pictures: Tensor) -> None:
    fewer = vit(pictures, patch_dropout=0.5, generator=torch.Generator().manual_seed(1))
    assert fewer.shape == (3, 16) and not torch.allclose(fewer, vit(pictures))
    with pytest.raises(AssertionError, match="given generator"):
        vit(pictures, patch_dropout=0.5)


def test_activation_checkpointing_gives_the_same_gradients(vit: VisionTransformer, pictures: Tensor) -> None:
    vit.train()
    vit(pictures).square().sum().backward()
    plain = {name: parameter.grad for name, parameter in vit.named_parameters()}
    vit.zero_grad()
    vit.transformer.activation_checkpointing = True
    vit(pictures).square().sum().backward()
    for name, parameter in vit.named_parameters():
        assert parameter.grad is not None and plain[name] is not None
        torch.testing.assert_close(parameter.grad, plain[name])


def test_wrapped_projection_is_asked_as_a_whole(vit: VisionTransformer, pictures: Tensor) -> None:
    class Shifted(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            return super().forward(rows) + 0.5

    plain = vit(pictures)
    attention = vit.transformer.resblocks[-1].attn
    wrapped = Shifted(32, 96)
    wrapped.load_state_dict(attention.in_proj.state_dict())
    attention.in_proj = wrapped
    shifted = vit(pictures)
    torch.testing.assert_close(shifted, vit.tokens(pictures)[:, 0] @ vit.proj, atol=2e-6, rtol=1e-6)
    assert not torch.allclose(shifted, plain)


def test_wrong_picture_size_names_both_sizes(vit: VisionTransformer) -> None:
    with pytest.raises(CnclipError, match=r"\[B, 3, 32, 32\], not \[1, 3, 40, 40\]"):
        vit(torch.zeros(1, 3, 40, 40))


def test_bf16_autocast_stays_close(vit: VisionTransformer, pictures: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = vit(pictures)
    assert torch.cosine_similarity(rough.float(), vit(pictures)).min() > 0.999


def test_no_pictures_give_no_features(vit: VisionTransformer) -> None:
    assert vit(torch.zeros(0, 3, 32, 32)).shape == (0, 16)
