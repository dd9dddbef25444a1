from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cnclip.checkpoints import load_checkpoint, save_checkpoint
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.precision import Precision, round_as_cn_clip
from cnclip.errors import UnknownNameError
from cnclip.model import ARCHITECTURES, ChineseClip

# What the original keeps in float32, written out for the two towers (RN50 and ViT alike).
KEPT = re.compile(
    r"logit_scale|visual\.class_embedding|visual\.positional_embedding|visual\.ln_(pre|post)\.(weight|bias)"
    r"|visual\.transformer\.resblocks\.\d+\.ln_[12]\.(weight|bias)"
    r"|visual\.(layer\d\.\d+\.)?bn\d\.\w+|visual\.layer\d\.\d+\.downsample\.1\.\w+"
    r"|visual\.attnpool\.positional_embedding"
)


@pytest.mark.parametrize("name", ["ViT-B-16", "RN50"])
def test_exactly_those_tensors_are_rounded_that_the_original_halves(name: str) -> None:
    with torch.device("meta"):
        names = to_official(ChineseClip(ARCHITECTURES[name]).state_dict())
    value = torch.tensor([1.0001])
    assert {n for n in names if round_as_cn_clip(n, value) is value} == {
        n for n in names if KEPT.fullmatch(n)
    }


def test_rounding_of_the_original_is_a_detour_through_float16(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    rounded = load_checkpoint(tmp_path / "m", precision="cn_clip")
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded.text_projection, vit.text_projection.half().float())
    assert torch.equal(rounded.visual.ln_pre.weight, vit.visual.ln_pre.weight)
    assert torch.equal(rounded.visual.positional_embedding, vit.visual.positional_embedding)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_comes_close_to_the_full_one(
    kind: str, precision: Precision, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(kind)
    save_checkpoint(model, tmp_path / "m")
    half = load_checkpoint(tmp_path / "m", precision=precision)
    assert half.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert half.logit_scale.dtype == torch.float32
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, 32, 32, generator=generator)
    token_ids = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])
    with torch.inference_mode():
        full_output, half_output = model(pixels, token_ids), half(pixels, token_ids)
        logits, _ = half.get_similarity(pixels, token_ids)
    assert logits.dtype == torch.float32
    for one, other in ((full_output.image, half_output.image), (full_output.text, half_output.text)):
        assert one is not None and other is not None and other.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(one, other).min() > 0.999


def test_unknown_precision_lists_the_known_ones(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    with pytest.raises(UnknownNameError, match="fp32, bf16, fp16, cn_clip"):
        load_checkpoint(tmp_path / "m", precision="int4")  # type: ignore[arg-type]
