"""The full size on a CPU: ViT-B-16 + RoBERTa-base from the official file layout, trained, saved and used."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import ChineseCLIPModel

from cnclip import load_from_name, tokenize
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.official import write_official
from cnclip.checkpoints.to_huggingface import write_hugging_face
from cnclip.model import ARCHITECTURES, ChineseClip

BYTES_ALLOWED = 24e9


def test_official_vit_b_16_is_loaded_trained_two_steps_saved_and_used(
    shapes_store: Path, tmp_path: Path
) -> None:
    model = ChineseClip(ARCHITECTURES["ViT-B-16"], seed=1)
    official = {f"module.{name}": tensor for name, tensor in to_official(model.state_dict()).items()}
    released = {"epoch": 15, "step": 1, "name": "clip_cn_vit-b-16", "state_dict": official}
    torch.save(released, tmp_path / "clip_cn_vit-b-16.pt")
    del model, official, released
    command = [
        sys.executable, "-m", "cnclip", "train", "model.checkpoint=" + str(tmp_path / "clip_cn_vit-b-16.pt"),
        f"output={tmp_path}/tuned", f"run={tmp_path}/run", f"data.train={shapes_store}", "data.batch_size=2",
        "data.workers=0", "schedule.steps=2", "optimizer.lr=1e-4", "saving.keep_last=1", "log_every_steps=1",
    ]  # fmt: skip
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < BYTES_ALLOWED
    before, _ = load_from_name(tmp_path / "clip_cn_vit-b-16.pt", device="cpu")
    after, transform = load_from_name(tmp_path / "tuned", device="cpu")
    assert not torch.equal(before.bert.encoder.layer[0].output.dense.weight,
                           after.bert.encoder.layer[0].output.dense.weight)  # fmt: skip
    from PIL import Image

    with torch.inference_mode():
        pixels = transform(Image.new("RGB", (300, 200), "red"))[None]
        image, text = after.encode_image(pixels), after.encode_text(tokenize(["红色的方块", "蓝色的圆"]))
    assert image.shape == (1, 512) and text.shape == (2, 512)
    assert torch.isfinite(image).all() and torch.isfinite(text).all()


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14"])
def test_official_file_gives_the_features_that_transformers_computes_from_its_folder(
    name: str, tmp_path: Path
) -> None:
    write_official(ChineseClip(ARCHITECTURES[name], seed=3), tmp_path / "random.pt")
    ours, _ = load_from_name(tmp_path / "random.pt", device="cpu")
    assert ours.architecture == ARCHITECTURES[name]
    write_hugging_face(ours, tmp_path)
    theirs = ChineseCLIPModel.from_pretrained(tmp_path).eval()
    size = ours.architecture.image.resolution
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    token_ids = tokenize(["杰尼龟", "妙蛙种子在草地上晒太阳", "小火龙", "皮卡丘"])
    with torch.inference_mode():
        states = theirs.text_model(input_ids=token_ids, attention_mask=(token_ids != 0).long())
        pairs = {
            "image": (
                ours.encode_image(pixels),
                theirs.visual_projection(theirs.vision_model(pixel_values=pixels).pooler_output),
            ),
            "text": (ours.encode_text(token_ids), theirs.text_projection(states.last_hidden_state[:, 0])),
        }
    for side, (one, other) in pairs.items():
        largest = float((one - other).abs().max())
        relative = float((one - other).norm() / other.norm())
        print(f"{name} {side}: max |difference| {largest:.2e}, relative {relative:.2e}")
        assert relative < 1e-5
