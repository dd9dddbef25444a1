"""ViT-B-16 + RoBERTa-base in ONNX, run by onnxruntime on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch

from cnclip import tokenize
from cnclip.export import export_onnx
from cnclip.model import ARCHITECTURES, ChineseClip


@pytest.mark.parametrize("layers", [3, pytest.param(12, marks=pytest.mark.nightly)])
def test_vit_b_16_runs_in_onnxruntime_as_in_torch(layers: int, tmp_path: Path) -> None:
    """All sizes are the real ones; most of the layers, which are alike, are for the night."""
    whole = ARCHITECTURES["ViT-B-16"]
    shape = replace(whole, image=replace(whole.image, layers=layers), text=replace(whole.text, layers=layers))
    model = ChineseClip(shape, seed=2).eval()
    rows = export_onnx(model, tmp_path / "vit-b-16")
    assert max(row.difference for row in rows) <= 1e-5 and min(row.cosine for row in rows) >= 0.99999
    token_ids = tokenize(["一只猫", "两只狗在草地上奔跑"])
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = {"image": model.encode_image(pixels), "text": model.encode_text(token_ids)}
    feeds = {"image": {"pixel_values": pixels.numpy()}, "text": {"token_ids": token_ids.numpy()}}
    for side, feed in feeds.items():
        file = tmp_path / "vit-b-16" / f"{side}.onnx"
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, feed)
        torch.testing.assert_close(torch.from_numpy(found), expected[side], rtol=0, atol=1e-4)
