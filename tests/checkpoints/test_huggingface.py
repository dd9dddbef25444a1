"""Folders of the transformers library: their numbers are its numbers, and contradictions are named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cnclip.checkpoints import (
    load_checkpoint,
    load_image_tower,
    load_text_tower,
    load_with_account,
    read_architecture,
    read_image_architecture,
    read_text_architecture,
)
from cnclip.checkpoints.opened import check_whole, open_checkpoint
from cnclip.errors import CheckpointError, RefusedError
from cnclip.model import BertArchitecture, ChineseClip, ClipArchitecture, VitArchitecture

transformers = pytest.importorskip("transformers")

VISION = {
    "hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3,
    "image_size": 16, "patch_size": 8, "projection_dim": 20,
}  # fmt: skip
TEXT = {
    "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 21128, "max_position_embeddings": 24,
}  # fmt: skip
IMAGE_TOWER = VitArchitecture(width=48, layers=2, heads=3, patch_size=8, resolution=16)
TEXT_TOWER = BertArchitecture(hidden=32, layers=2, heads=4, intermediate=40, max_positions=24)
WHOLE = ClipArchitecture(20, IMAGE_TOWER, TEXT_TOWER)
TOKEN_IDS = torch.tensor([[101, 4381, 1744, 102, 0, 0], [101, 21127, 102, 0, 0, 0], [101, 7, 8, 9, 10, 102]])


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(((one - other).abs().max() / other.abs().max()) < 1e-5)


def randomised(model: Any, seed: int = 0) -> Any:
    """Every number away from its start, so that no two tensors can be mistaken for each other."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def chinese_clip() -> Any:
    config = transformers.ChineseCLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=20)
    return randomised(transformers.ChineseCLIPModel(config))


@pytest.fixture
def folder(chinese_clip: Any, tmp_path: Path) -> Path:
    chinese_clip.save_pretrained(tmp_path / "模型")
    return tmp_path / "模型"


def edit(folder: Path, change: Callable[[dict[str, Any]], object], file: str = "config.json") -> None:
    content = json.loads((folder / file).read_text(encoding="utf-8"))
    change(content)
    (folder / file).write_text(json.dumps(content), encoding="utf-8")


@torch.no_grad()
def check_equal(model: ChineseClip, theirs: Any) -> None:
    pixels = torch.randn(3, 3, 16, 16)
    mask = (TOKEN_IDS != 0).long()
    text = theirs.text_model(input_ids=TOKEN_IDS, attention_mask=mask).last_hidden_state[:, 0]
    image = theirs.vision_model(pixel_values=pixels).pooler_output
    assert close(model.encode_text(TOKEN_IDS), theirs.text_projection(text))
    assert close(model.encode_image(pixels), theirs.visual_projection(image))
    assert torch.equal(model.logit_scale, theirs.logit_scale)


def test_whole_model_computes_the_same(folder: Path, chinese_clip: Any) -> None:
    model, account = load_with_account(folder)
    assert model.architecture == WHOLE == read_architecture(folder)
    check_equal(model, chinese_clip)
    assert account.kind == "Hugging Face folder (ChineseCLIPModel)"
    joined = "visual.transformer.resblocks.1.attn.in_proj_weight"
    assert account.loaded[joined] == "vision_model.encoder.layers.1.self_attn.{q,k,v}_proj.weight"
    assert account.loaded["text_projection"] == "text_projection.weight"
    assert account.new == () and account.dropped == {}
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_whole_model_of_either_activation(tmp_path: Path, activation: str) -> None:
    config = transformers.ChineseCLIPConfig(
        vision_config={**VISION, "hidden_act": activation}, text_config=TEXT, projection_dim=20
    )
    theirs = randomised(transformers.ChineseCLIPModel(config), seed=3)
    theirs.save_pretrained(tmp_path)
    model = load_checkpoint(tmp_path)
    assert model.architecture.image.activation == activation
    check_equal(model, theirs)


def test_older_folders_with_torch_files_poolers_and_position_ids(folder: Path, chinese_clip: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["text_model.embeddings.position_ids"] = torch.arange(24)[None]
    tensors["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    tensors["text_model.pooler.dense.weight"] = torch.zeros(32, 32)
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    edit(folder, lambda config: config.update(text_config_dict=None, vision_config_dict={"image_size": 16}))
    model, account = load_with_account(folder)
    check_equal(model, chinese_clip)
    assert len(account.dropped) == 3


@pytest.mark.parametrize("safe", [True, False])
def test_shards_are_put_together(folder: Path, chinese_clip: Any, safe: bool) -> None:
    split(folder, safe=safe)
    check_equal(load_checkpoint(folder), chinese_clip)


def split(folder: Path, *, safe: bool = True) -> str:
    """Two shards and their index in place of one file; returns the name of the index."""
    stem, suffix = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[:20], names[20:]), start=1):
        file = f"{stem}-0000{number}-of-00002.{suffix}"
        write = save_file if safe else torch.save
        write({name: tensors[name].clone() for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    index = f"{stem}.{suffix}.index.json"
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda index: index["weight_map"].update(logit_scale="../模型/model.safetensors"),
            "not a file of this",
        ),
        (lambda index: index["weight_map"].update(logit_scale="/etc/passwd"), "not a file of this"),
        (lambda index: index["weight_map"].update(logit_scale="none.safetensors"), "is missing"),
        (lambda index: index["weight_map"].update(more="model-00001-of-00002.safetensors"), "in no shard"),
        (lambda index: index["weight_map"].pop("logit_scale"), "the index has it in None"),
        (lambda index: index.update(weight_map=[]), "no weight_map"),
    ],
)
def test_index_that_lies_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder, change, split(folder))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("section", "key", "value", "truth"),
    [
        ("vision_config", "hidden_act", "relu", "our tower quick_gelu or gelu"),
        ("vision_config", "layer_norm_eps", 1e-6, "our tower 1e-05"),
        ("vision_config", "image_size", 224, "tensors 16"),
        ("vision_config", "patch_size", 4, "tensors 8"),
        ("vision_config", "hidden_size", 64, "tensors 48"),
        ("vision_config", "num_hidden_layers", 3, "tensors 2"),
        ("vision_config", "intermediate_size", 96, "tensors 192"),
        ("text_config", "hidden_act", "gelu_new", "our tower gelu"),
        ("text_config", "layer_norm_eps", 1e-5, "our tower 1e-12"),
        ("text_config", "position_embedding_type", "relative_key", "our tower absolute"),
        ("text_config", "vocab_size", 30522, "tensors 21128"),
        ("text_config", "max_position_embeddings", 512, "tensors 24"),
        ("", "projection_dim", 512, "tensors 20"),
    ],
)
def test_configuration_that_contradicts_names_key_and_values(
    folder: Path, section: str, key: str, value: object, truth: str
) -> None:
    edit(folder, lambda config: (config[section] if section else config).update({key: value}))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    dotted = f"{section}.{key}" if section else key
    assert f"{dotted}: config.json {value}, {truth}" in str(caught.value)
    assert caught.value.where == str(folder / "config.json")


def test_heads_come_from_the_configuration_and_must_divide(folder: Path) -> None:
    edit(folder, lambda config: config["vision_config"].update(num_attention_heads=6))
    assert load_checkpoint(folder).architecture.image.heads == 6
    edit(folder, lambda config: config["vision_config"].update(num_attention_heads=5))
    with pytest.raises(CheckpointError, match="heads 5 does not divide width 48"):
        load_checkpoint(folder)
    edit(folder, lambda config: config["vision_config"].update(num_attention_heads="__import__('os')"))
    with pytest.raises(CheckpointError, match="num_attention_heads cannot be"):
        load_checkpoint(folder)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("name", ["CLIPModel", "CLIPVisionModelWithProjection"])
def test_image_tower_of_an_english_clip_computes_the_same(tmp_path: Path, name: str, activation: str) -> None:
    vision = {**VISION, "hidden_act": activation}
    if name == "CLIPModel":
        text = {**TEXT, "vocab_size": 99}
        config = transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=20)
    else:
        config = transformers.CLIPVisionConfig(**vision)
    theirs = randomised(getattr(transformers, name)(config), seed=5)
    theirs.save_pretrained(tmp_path)
    image, embed_dim = read_image_architecture(tmp_path)
    assert embed_dim == 20 and isinstance(image, VitArchitecture)
    assert image.activation == activation and image.heads == 3
    model = ChineseClip(ClipArchitecture(20, image, TEXT_TOWER), seed=1).eval()
    account = load_image_tower(model, tmp_path)
    pixels = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        expected = theirs.visual_projection(theirs.vision_model(pixel_values=pixels).pooler_output)
        assert close(model.encode_image(pixels), expected)
    assert account.new == ()
    english = {name for name, why in account.dropped.items() if why == "English text tower of CLIP"}
    assert ("text_projection.weight" in english) == (name == "CLIPModel")
    with pytest.raises(
        CheckpointError, match=rf"Hugging Face folder \({name}\): it holds no Chinese text tower"
    ):
        check_whole(open_checkpoint(tmp_path))
    with pytest.raises(CheckpointError, match="text tower"):
        load_checkpoint(tmp_path)
    other = ChineseClip(ClipArchitecture(20, IMAGE_TOWER, TEXT_TOWER))
    if activation == "gelu":
        with pytest.raises(CheckpointError, match="activation: file gelu, model quick_gelu"):
            load_image_tower(other, tmp_path)


@pytest.mark.parametrize("family", ["CLIP", "ChineseCLIP"])
def test_image_tower_without_projection_leaves_it_new(tmp_path: Path, family: str) -> None:
    config = getattr(transformers, f"{family}VisionConfig")(**VISION)
    theirs = randomised(getattr(transformers, f"{family}VisionModel")(config), seed=6)
    theirs.save_pretrained(tmp_path)
    assert read_image_architecture(tmp_path) == (IMAGE_TOWER, 20)
    model = ChineseClip(WHOLE, seed=1).eval()
    before = model.visual.proj.clone()
    account = load_image_tower(model, tmp_path)
    assert account.new == ("visual.proj",) and torch.equal(model.visual.proj, before)
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels).pooler_output @ before
        assert close(model.encode_image(pixels), expected)


@pytest.mark.parametrize(
    "name", ["BertModel", "BertForMaskedLM", "BertForSequenceClassification", "ChineseCLIPTextModel"]
)
def test_text_tower_of_a_bert_computes_the_same(tmp_path: Path, name: str) -> None:
    cls = getattr(transformers, name)
    theirs = randomised(cls(cls.config_class(**TEXT)), seed=7)
    theirs.save_pretrained(tmp_path)
    assert read_text_architecture(tmp_path) == TEXT_TOWER
    model = ChineseClip(WHOLE, seed=1).eval()
    before = model.text_projection.clone()
    account = load_text_tower(model, tmp_path)
    encoder = theirs.bert if hasattr(theirs, "bert") else theirs
    with torch.no_grad():
        states = encoder(input_ids=TOKEN_IDS, attention_mask=(TOKEN_IDS != 0).long()).last_hidden_state
        assert close(model.encode_text(TOKEN_IDS), states[:, 0] @ before)
    assert account.new == ("text_projection",)
    assert set(account.dropped) == {n for n in load_file(tmp_path / "model.safetensors") if leftover(n)}
    with pytest.raises(CheckpointError, match="it holds no image tower"):
        check_whole(open_checkpoint(tmp_path))


def leftover(name: str) -> bool:
    return name.startswith(("cls.", "classifier.")) or "pooler." in name


def test_projection_of_taiyi_is_dropped_with_its_reason(tmp_path: Path) -> None:
    config = transformers.BertConfig(**TEXT, num_labels=20)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    account = load_text_tower(ChineseClip(WHOLE), tmp_path)
    assert (
        "Taiyi" in account.dropped["classifier.weight"] and "pooler" in account.dropped["classifier.weight"]
    )
    assert "text_projection" in str(account) and "Taiyi" in str(account)


def test_towers_of_a_whole_folder(folder: Path, chinese_clip: Any) -> None:
    model = ChineseClip(WHOLE, seed=1).eval()
    assert read_image_architecture(folder) == (IMAGE_TOWER, 20)
    assert read_text_architecture(folder) == TEXT_TOWER
    image, text = load_image_tower(model, folder), load_text_tower(model, folder)
    assert len(image.loaded) + len(text.loaded) + 1 == len(load_with_account(folder)[1].loaded)
    model.logit_scale.data.copy_(chinese_clip.logit_scale.data)
    check_equal(model, chinese_clip)
    assert "text_model.embeddings.LayerNorm.bias" in image.dropped and "logit_scale" in text.dropped


def test_bare_file_of_a_folder_loads_too(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    wide = {**VISION, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1}
    config = transformers.CLIPVisionConfig(**wide, hidden_act="gelu")
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder / "english")
    image, _ = read_image_architecture(folder / "english" / "model.safetensors")
    assert isinstance(image, VitArchitecture) and image.activation == "gelu"  # config.json lies beside it
    (folder / "english" / "model.safetensors").rename(folder / "bare.safetensors")
    image, _ = read_image_architecture(folder / "bare.safetensors")
    assert isinstance(image, VitArchitecture) and image.activation == "quick_gelu"
    assert "does not say its activation" in caplog.text and "gelu" in caplog.text


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("roberta", "counts positions from 2"),
        ("xlm-roberta", "another vocabulary and tokenizer"),
        ("clip_text_model", "English text tower"),
        ("siglip", "not a kind of model"),
        (["bert"], "not a kind of model"),
    ],
)
def test_other_kinds_of_models_are_refused(folder: Path, model_type: object, message: str) -> None:
    edit(folder, lambda config: config.update(model_type=model_type))
    for read in (load_checkpoint, read_text_architecture, read_image_architecture):
        with pytest.raises(CheckpointError, match=message):
            read(folder)


def test_type_that_does_not_fit_the_weights_is_refused(folder: Path) -> None:
    edit(folder, lambda config: config.update(model_type="bert", hidden_act="gelu", num_attention_heads=4))
    with pytest.raises(CheckpointError, match="'bert' has no image tower, the weights hold one"):
        load_checkpoint(folder)
    tensors = load_file(folder / "model.safetensors")
    text = {name: tensor for name, tensor in tensors.items() if name.startswith("text")}
    save_file(text, folder / "model.safetensors")
    edit(folder, lambda config: config.update(model_type="clip"))
    with pytest.raises(CheckpointError, match="'clip' has no text tower, the weights hold one"):
        read_image_architecture(folder)
    edit(folder, lambda config: config.update(model_type="chinese_clip"))
    with pytest.raises(CheckpointError, match="no image tower in this file"):
        read_text_architecture(folder)


@pytest.mark.parametrize("content", ["[]", "{", '{"model_type": "chinese_clip", "vision_config": 3}'])
def test_damaged_configuration_is_an_error(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config"):
        load_checkpoint(folder)


def test_unplanned_tensor_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["vision_model.head.weight"] = torch.zeros(3, 2)
    tensors["adapter.weight"] = torch.zeros(5)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    assert "vision_model.head.weight: file [3, 2], not in the model" in str(caught.value)
    assert "adapter.weight: file [5], not in the model" in str(caught.value)
    with pytest.raises(CheckpointError, match=r"adapter\.weight: file \[5\]"):
        load_text_tower(ChineseClip(WHOLE), folder)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.marker,))


@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_folder_is_never_run(folder: Path, tmp_path: Path, sharded: bool, zipped: bool) -> None:
    bomb = {"logit_scale": torch.ones(()), "state": Bomb(tmp_path / "ran")}
    if sharded:
        file = json.loads((folder / split(folder, safe=False)).read_text())["weight_map"]["logit_scale"]
    else:
        (folder / "model.safetensors").unlink()
        file = "pytorch_model.bin"
    torch.save(bomb, folder / file, _use_new_zipfile_serialization=zipped)
    model = ChineseClip(WHOLE)
    for read in (
        load_checkpoint,
        read_architecture,
        read_image_architecture,
        read_text_architecture,
        lambda path: load_image_tower(model, path),
        lambda path: load_text_tower(model, path),
    ):
        with pytest.raises(RefusedError, match="was not run") as caught:
            read(folder)
        assert caught.value.exit_code == 8
    assert not (tmp_path / "ran").exists()
