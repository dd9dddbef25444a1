from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn

from cnclip.errors import CnclipError
from cnclip.model import ARCHITECTURES, ChineseClip, VitArchitecture
from cnclip.towers.packed import PackedLinear, can_pack

TOKEN_IDS = torch.tensor([[101, 3345, 2225, 7991, 102, 0], [101, 1975, 102, 0, 0, 0]])


def _model(name: str, activation: str = "quick_gelu") -> ChineseClip:
    architecture = ARCHITECTURES[name]
    if isinstance(architecture.image, VitArchitecture):
        image = dataclasses.replace(architecture.image, activation=activation)
        architecture = dataclasses.replace(architecture, image=image)
    return ChineseClip(architecture, seed=4).eval()


def _pixels(model: ChineseClip) -> torch.Tensor:
    size = model.architecture.image.resolution
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "activation"), [("tiny-ViT", "quick_gelu"), ("tiny-ViT", "gelu"), ("tiny-RN", "quick_gelu")]
)
def test_packed_model_computes_the_same_features(name: str, activation: str) -> None:
    model, pixels = _model(name, activation), _pixels(_model(name))
    packed = _model(name, activation).pack_for_inference()
    assert any(isinstance(module, PackedLinear) for module in packed.modules())
    assert not any(type(module) is nn.Linear for module in packed.modules())
    with torch.inference_mode():
        torch.testing.assert_close(
            packed.encode_image(pixels), model.encode_image(pixels), atol=1e-5, rtol=1e-5
        )
        for token_ids in (TOKEN_IDS, TOKEN_IDS[:1], TOKEN_IDS[:, :3]):
            torch.testing.assert_close(
                packed.encode_text(token_ids), model.encode_text(token_ids), atol=1e-5, rtol=1e-5
            )
            torch.testing.assert_close(
                packed.bert.tokens(token_ids), model.bert.tokens(token_ids), atol=1e-5, rtol=1e-5
            )


def test_packed_model_in_bfloat16_is_close() -> None:
    if not can_pack(torch.bfloat16, torch.device("cpu")):
        assert _model("tiny-ViT").bfloat16().pack_for_inference().dtype == torch.bfloat16
        return
    model, packed = _model("tiny-ViT"), _model("tiny-ViT").bfloat16().pack_for_inference()
    with torch.inference_mode():
        one, other = model.encode_image(_pixels(model)), packed.encode_image(_pixels(model))
    assert other.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(one, other.float()).min() > 0.999


def test_packed_model_cannot_be_saved_moved_or_copied_and_says_what_to_do() -> None:
    packed = _model("tiny-ViT").pack_for_inference()
    for deed in (packed.state_dict, packed.bfloat16, lambda: copy.deepcopy(packed)):
        with pytest.raises(CnclipError, match="load the model again"):
            deed()


def test_packing_twice_or_in_a_type_that_is_not_packed_changes_nothing() -> None:
    packed = _model("tiny-ViT").pack_for_inference()
    with torch.inference_mode():
        before = packed.encode_text(TOKEN_IDS)
        assert torch.equal(packed.pack_for_inference().encode_text(TOKEN_IDS), before)
    double = _model("tiny-ViT").double().pack_for_inference()
    assert any(type(module) is nn.Linear for module in double.modules())
