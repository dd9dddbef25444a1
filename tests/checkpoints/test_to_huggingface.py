"""Folders that we write for transformers, read by transformers itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnclip.checkpoints.parity import make_probe, measure_parity, probe_features, transformers_features
from cnclip.checkpoints.precision import set_precision
from cnclip.checkpoints.to_huggingface import hugging_face_config, write_hugging_face
from cnclip.errors import CheckpointError
from cnclip.images.transform import image_transform
from cnclip.model import ARCHITECTURES, ChineseClip, ClipArchitecture, VitArchitecture
from cnclip.text.tokenizer import tokenize

transformers = pytest.importorskip("transformers")

PLAIN_CAPTIONS = [
    "一只猫坐在红色的沙发上",
    "Hello World, CLIP 2022年!",
    "杰尼龟、妙蛙种子、小火龙、皮卡丘",
    "繁體字測試，全角标点：（测试）",
    "café naïve 3.14 元",
    "𠮷野家的牛肉饭",
    "😀表情 和 制表\t符",
    "",
    "长" * 80,
]


def tiny(activation: str = "quick_gelu") -> ChineseClip:
    image = VitArchitecture(128, 2, 4, 8, 48, activation)  # type: ignore[arg-type]
    return ChineseClip(ClipArchitecture(24, image, ARCHITECTURES["tiny-ViT"].text), seed=5).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("模型") / "hf"
    path.mkdir()
    write_hugging_face(tiny(), path)
    return path


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_transformers_computes_the_same_features(activation: str, tmp_path: Path) -> None:
    model = tiny(activation)
    write_hugging_face(model, tmp_path)
    probe = make_probe(model.architecture)
    found = transformers_features(tmp_path, probe)
    assert found is not None
    for parity in measure_parity(probe_features(model, probe), found):
        assert parity.relative_difference <= 1e-5, parity


def test_every_tensor_has_a_place_and_every_place_a_tensor(folder: Path) -> None:
    _, told = transformers.ChineseCLIPModel.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]


def test_configuration_says_what_the_architecture_is() -> None:
    config = transformers.ChineseCLIPConfig(**hugging_face_config(ARCHITECTURES["ViT-H-14"], torch.float16))
    vision, text = config.vision_config, config.text_config
    assert (vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers) == (1280, 5120, 32)
    assert (vision.num_attention_heads, vision.patch_size, vision.image_size) == (16, 14, 224)
    assert (vision.hidden_act, vision.layer_norm_eps) == ("quick_gelu", 1e-5)
    assert (text.hidden_size, text.num_hidden_layers, text.layer_norm_eps) == (1024, 24, 1e-12)
    assert (text.hidden_act, text.hidden_dropout_prob, config.projection_dim) == ("gelu", 0.1, 1024)


@pytest.mark.parametrize("kind", ["AutoTokenizer", "BertTokenizer"])
def test_tokenizer_gives_our_ids_of_plain_captions(folder: Path, kind: str) -> None:
    tokenizer = getattr(transformers, kind).from_pretrained(folder)
    found = tokenizer(PLAIN_CAPTIONS, padding="max_length", truncation=True, return_tensors="pt")
    assert torch.equal(found.input_ids, tokenize(PLAIN_CAPTIONS))
    assert torch.equal(found.input_ids, tokenize(PLAIN_CAPTIONS, clean="cn_clip"))


def test_processor_squashes_to_our_pixels_bit_for_bit(folder: Path) -> None:
    generator = np.random.default_rng(0)
    processor = transformers.ChineseCLIPProcessor.from_pretrained(folder)
    pil = transformers.ChineseCLIPImageProcessorPil.from_pretrained(folder)
    for width, height in ((50, 70), (48, 48), (300, 200)):
        picture = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        ours = image_transform(48)(picture)
        assert torch.equal(pil(images=picture, return_tensors="pt")["pixel_values"][0], ours)
        both = processor(text=["图"], images=picture, return_tensors="pt")
        if "Pil" in type(processor.image_processor).__name__:  # torchvision's backend resizes otherwise
            assert torch.equal(both["pixel_values"][0], ours)
        assert both["pixel_values"].shape == (1, 3, 48, 48)


def test_half_precision_is_said_and_read(tmp_path: Path) -> None:
    model = tiny()
    set_precision(model, "bf16")
    write_hugging_face(model, tmp_path)
    read = transformers.ChineseCLIPModel.from_pretrained(tmp_path)
    assert read.dtype == torch.bfloat16
    assert torch.equal(read.text_projection.weight, model.text_projection.T)


def test_what_transformers_cannot_hold_is_refused(
    vit: ChineseClip, resnet: ChineseClip, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="RN50"):
        write_hugging_face(resnet, tmp_path)
    with pytest.raises(CheckpointError, match="80 tokens"):
        write_hugging_face(vit, tmp_path)
    assert not list(tmp_path.iterdir())
