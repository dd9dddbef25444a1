"""Image towers that open_clip trained."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cnclip.checkpoints import load_checkpoint, load_image_tower, read_image_architecture
from cnclip.checkpoints.names import to_official
from cnclip.errors import CheckpointError, RefusedError
from cnclip.images.transform import IMAGE_MEAN
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, ResNetArchitecture, VitArchitecture

TEXT = BertArchitecture(hidden=32, layers=1, heads=2, intermediate=8, vocab_size=40, max_positions=8)
GELU = VitArchitecture(width=96, layers=2, heads=3, patch_size=8, resolution=16, activation="gelu")
WIDE = VitArchitecture(width=128, layers=1, heads=2, patch_size=8, resolution=16, activation="gelu")
RESNET = ResNetArchitecture((1, 1, 1, 1), width=8, heads=4, resolution=32)
VISION = {"image_size": 16, "layers": 2, "width": 96, "head_width": 32, "patch_size": 8, "patch_dropout": 0.5}


def tower(image: Any, seed: int = 3) -> ChineseClip:
    return ChineseClip(ClipArchitecture(12, image, TEXT), seed=seed).eval()


def tensors_of(model: ChineseClip, *, text: str = "") -> dict[str, Tensor]:
    """The image tower beside open_clip's text side, flat or under `text.`."""
    tensors = {n: t.clone() for n, t in to_official(model.state_dict()).items() if n.startswith("visual.")}
    names = (
        "positional_embedding",
        "token_embedding.weight",
        "ln_final.bias",
        "text_projection",
        "attn_mask",
    )
    return tensors | {text + name: torch.zeros(4, 4) for name in names} | {"logit_scale": torch.ones(())}


def config(model: dict[str, Any] | None = None, **vision: Any) -> str:
    content = {"embed_dim": 12, "vision_cfg": {**VISION, **vision}, "text_cfg": {"width": 4}, **(model or {})}
    return json.dumps({"model_cfg": content, "preprocess_cfg": {"mean": list(IMAGE_MEAN)}})


@pytest.mark.parametrize("text", ["", "text."])
@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_folder_says_activation_and_heads(tmp_path: Path, file: str, text: str) -> None:
    source = tower(GELU)
    tensors = tensors_of(source, text=text)
    torch.save(tensors, tmp_path / file) if file.endswith("bin") else save_file(tensors, tmp_path / file)
    (tmp_path / "open_clip_config.json").write_text(config())
    assert read_image_architecture(tmp_path) == (GELU, 12)
    fresh = tower(GELU, seed=9)
    account = load_image_tower(fresh, tmp_path)
    pixels = torch.randn(2, 3, 16, 16)
    assert torch.equal(fresh.encode_image(pixels), source.encode_image(pixels))
    assert account.kind == "open_clip folder" and "open_clip" in account.dropped[f"{text}ln_final.bias"]
    assert set(account.dropped) == {n for n in tensors if not n.startswith("visual.")}
    (tmp_path / "open_clip_config.json").write_text(config({"quick_gelu": True}))
    assert read_image_architecture(tmp_path)[0].activation == "quick_gelu"
    with pytest.raises(CheckpointError, match="activation: file quick_gelu, model gelu"):
        load_image_tower(fresh, tmp_path)
    with pytest.raises(CheckpointError, match=r"text tower"):
        load_checkpoint(tmp_path)


def test_bare_file_leaves_the_activation_to_the_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, path = tower(WIDE), tmp_path / "epoch_32.pt"
    state = {f"module.{name}": tensor for name, tensor in tensors_of(source).items()}
    torch.save({"epoch": 32, "name": "ViT", "state_dict": state}, path)
    image, _ = read_image_architecture(path)
    assert isinstance(image, VitArchitecture) and image.activation == "quick_gelu"
    assert "LAION gelu" in caplog.text and "quick_gelu is taken" in caplog.text
    fresh = tower(WIDE, seed=9)
    load_image_tower(fresh, path)
    pixels = torch.randn(2, 3, 16, 16)
    assert torch.equal(fresh.encode_image(pixels), source.encode_image(pixels))
    assert "; gelu is taken" in caplog.text


def test_resnet_of_open_clip(tmp_path: Path) -> None:
    save_file(tensors_of(tower(RESNET)), tmp_path / "open_clip_model.safetensors")
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 64}
    (tmp_path / "open_clip_config.json").write_text(config(**vision))
    assert read_image_architecture(tmp_path) == (RESNET, 12)


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"timm_model_name": "vit_x"}, "timm_model_name: open_clip_config.json vit_x, our tower None"),
        ({"attentional_pool": True}, "attentional_pool: open_clip_config.json True, our tower False"),
        ({"mlp_ratio": 4.3637}, "mlp_ratio: open_clip_config.json 4.3637, our tower 4.0"),
        ({"width": 1408}, "width: open_clip_config.json 1408, tensors 96"),
        ({"image_size": [224, 224]}, "image_size: open_clip_config.json 224, tensors 16"),
        ({"head_width": 7}, "does not divide"),
        ({"head_width": "x"}, "head_width cannot be 'x'"),
    ],
)
def test_configuration_that_asks_for_another_tower_is_refused(
    tmp_path: Path, vision: dict[str, Any], message: str
) -> None:
    save_file(tensors_of(tower(GELU)), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(config(**vision))
    with pytest.raises(CheckpointError) as caught:
        read_image_architecture(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name", ["visual.attn_pool.query", "text_decoder.ln.weight", "visual.transformer.resblocks.0.ls_1.gamma"]
)
def test_parts_that_no_plain_tower_has_are_named(tmp_path: Path, name: str) -> None:
    tensors = {**tensors_of(tower(GELU)), name: torch.zeros(3)}
    save_file(tensors, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(config())
    with pytest.raises(CheckpointError) as caught:
        load_image_tower(tower(GELU), tmp_path)
    assert f"{name}: file [3]" in str(caught.value)


def test_timm_tower_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "open_clip_model.safetensors"
    save_file({"visual.trunk.cls_token": torch.zeros(3), "text.ln_final.bias": torch.zeros(3)}, path)
    for place in (tmp_path, path):
        with pytest.raises(CheckpointError, match=r"unknown kind: visual\.trunk\.cls_token"):
            read_image_architecture(place)


def test_pixels_of_another_mean_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_file(tensors_of(tower(GELU)), tmp_path / "open_clip_model.safetensors")
    content = json.loads(config())
    content["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    read_image_architecture(tmp_path)
    assert "mean [0.5, 0.5, 0.5]" in caplog.text


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.marker,))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_folder_is_never_run(tmp_path: Path, zipped: bool) -> None:
    content = {"state_dict": tensors_of(tower(GELU)), "optimizer": Bomb(tmp_path / "ran")}
    path = tmp_path / "open_clip_pytorch_model.bin"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    (tmp_path / "open_clip_config.json").write_text(config())
    for read in (
        read_image_architecture,
        load_checkpoint,
        lambda place: load_image_tower(tower(GELU), place),
    ):
        with pytest.raises(RefusedError, match="was not run"):
            read(tmp_path)
    assert not (tmp_path / "ran").exists()
