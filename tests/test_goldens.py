"""Numbers of the official model code on weights that anyone can make again, without any checkpoint."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from torch import Tensor

from cnclip.checkpoints.names import to_memory, to_official
from cnclip.losses.contrastive import info_nce
from cnclip.model import ARCHITECTURES, ChineseClip
from cnclip.text.tokenizer import tokenize

NAMES = ["杰尼龟", "妙蛙种子", "小火龙", "皮卡丘"]


def golden_value(name: str, shape: torch.Size) -> np.ndarray:
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(math.prod(shape))
    if name.endswith("running_var"):
        value = 1 + 0.5 * np.abs(noise)
    elif name.endswith("running_mean"):
        value = 0.1 * noise
    elif name.endswith("num_batches_tracked"):
        value = 0 * noise
    elif name == "logit_scale":
        value = np.full_like(noise, math.log(100))
    elif len(shape) == 1 and name.endswith(".weight"):
        value = 1 + 0.1 * noise
    elif len(shape) == 4:
        value = noise * math.sqrt(2 / math.prod(shape[1:]))
    else:
        value = 0.05 * noise
    return value.astype(np.float32).reshape(shape)


def golden_model(name: str) -> ChineseClip:
    with torch.device("meta"):
        model = ChineseClip(ARCHITECTURES[name])
    official = {
        key: torch.from_numpy(golden_value(key, like.shape)).to(like.dtype)
        for key, like in to_official(model.state_dict()).items()
    }
    model.load_state_dict(to_memory(official), strict=True, assign=True)
    return model.eval()


def golden_pictures(model: ChineseClip) -> Tensor:
    size = model.visual.resolution
    noise = np.random.RandomState(7).standard_normal(2 * 3 * size * size)
    return torch.from_numpy(noise.astype(np.float32)).view(2, 3, size, size)


def assert_near(got: Tensor, expected: object, tolerance: float) -> None:
    torch.testing.assert_close(got, torch.tensor(expected), atol=tolerance, rtol=0)


@torch.no_grad()
def assert_golden(
    name: str, *, image: list[float], image_norms: list[float], text: list[float], logits: list[list[float]]
) -> None:
    model = golden_model(name)
    pictures, token_ids = golden_pictures(model), tokenize(NAMES, clean="cn_clip")
    features = model.encode_image(pictures)
    scale = max(image_norms)
    assert_near(features[0, :6], image, 1e-6 * scale + 1e-6)
    torch.testing.assert_close(features.norm(dim=1), torch.tensor(image_norms), atol=1e-5, rtol=1e-6)
    assert_near(model.encode_text(token_ids)[0, :6], text, 1e-5)
    per_image, per_text = model.get_similarity(pictures, token_ids)
    assert_near(per_image, logits, 2e-4)
    assert torch.equal(per_text, per_image.T)


def test_tiny_vision_transformer() -> None:
    assert_golden(
        "tiny-ViT",
        image=[0.322275, 1.479383, -0.284644, -0.802968, -0.065312, -0.447032],
        image_norms=[3.24106, 3.24650],
        text=[-0.793348, 0.177970, -0.268135, 0.254517, 0.377894, -0.152383],
        logits=[[-17.3678, -17.8417, -18.4390, -19.2850], [-18.8709, -19.0921, -19.7773, -20.8500]],
    )


def test_tiny_resnet() -> None:
    assert_golden(
        "tiny-RN",
        image=[-0.004087, 0.144839, 0.033178, -0.273409, 0.087814, 0.179494],
        image_norms=[2.13160, 2.13497],
        text=[-0.793348, 0.177970, -0.268135, 0.254517, 0.377894, -0.152383],
        logits=[[-18.8930, -17.4561, -17.3457, -17.3209], [-20.0506, -18.4742, -18.3825, -18.3292]],
    )


def test_vit_b_16_with_roberta_base() -> None:
    assert_golden(
        "ViT-B-16",
        image=[-2.462503, -0.990435, 1.313430, -1.412518, -1.169600, -0.607073],
        image_norms=[31.39211, 31.73918],
        text=[0.542038, -0.580885, 0.974198, 1.652408, 0.125849, 1.051903],
        logits=[[-1.2824, 0.5528, -0.1356, 0.6874], [0.2290, -1.9034, 0.7093, -1.2859]],
    )


def test_rn50_with_rbt3() -> None:
    assert_golden(
        "RN50",
        image=[38.299492, -21.650711, -22.505608, 120.879379, 60.367020, -73.138680],
        image_norms=[2220.98853, 2228.5332],
        text=[-0.078970, 4.974000, 0.522493, 0.889674, 0.191770, -0.337710],
        logits=[[1.2400, -1.0892, -0.3678, -1.0495], [1.1886, -0.9801, -0.3608, -0.9334]],
    )


@torch.no_grad()
def test_text_norms() -> None:
    token_ids = tokenize(NAMES, clean="cn_clip")
    assert_near(
        golden_model("tiny-ViT").encode_text(token_ids).norm(dim=1),
        [1.88658, 1.83020, 1.87151, 1.89307],
        1e-5,
    )


def test_loss_and_gradient_norms_of_two_pairs() -> None:
    model = golden_model("tiny-ViT")
    image, text, scale = model(golden_pictures(model), tokenize(NAMES[:2], clean="cn_clip"))
    loss = info_nce(image, text, scale)
    loss.backward()
    assert loss.item() == pytest.approx(0.749218, abs=2e-5)
    norms = {
        "logit_scale": 0.159847,
        "text_projection": 11.170514,
        "visual.proj": 8.244031,
        "visual.conv1.weight": 3.665785,
        "bert.embeddings.word_embeddings.weight": 5.621574,
        "visual.transformer.resblocks.1.attn.in_proj.weight": 5.479536,
    }
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, norm in norms.items():
        assert gradients[name].norm().item() == pytest.approx(norm, rel=2e-4), name
    query = gradients["bert.encoder.layer.0.attention.self.qkv.weight"][:64]
    assert query.norm().item() == pytest.approx(0.138392, rel=2e-4)
