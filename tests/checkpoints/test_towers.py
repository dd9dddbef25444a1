"""Starting one tower from a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cnclip.checkpoints import (
    load_image_tower,
    load_text_tower,
    read_image_architecture,
    read_text_architecture,
    save_checkpoint,
)
from cnclip.checkpoints.names import to_official
from cnclip.errors import CheckpointError
from cnclip.model import ChineseClip, ClipArchitecture


@pytest.fixture
def fresh(vit_architecture: ClipArchitecture) -> ChineseClip:
    return ChineseClip(vit_architecture, seed=77)


def changed(model: ChineseClip, before: dict[str, Tensor]) -> set[str]:
    """First parts of the names of what differs; LayerNorms and biases start alike everywhere."""
    return {n.split(".")[0] for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}


def snapshot(model: ChineseClip) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def bert_state(model: ChineseClip, *, prefix: str) -> dict[str, Tensor]:
    """What a Hugging Face BERT file holds, with early spellings and parts that are of no use here."""
    state = {
        prefix + name.removeprefix("bert."): tensor.clone()
        for name, tensor in to_official(model.state_dict()).items()
        if name.startswith("bert.")
    }
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in state.items()
    }
    state[f"{prefix}pooler.dense.weight"] = torch.zeros(64, 64)
    state[f"{prefix}embeddings.position_ids"] = torch.arange(20)[None]
    state["cls.predictions.bias"] = torch.zeros(80)
    return state


@pytest.fixture
def chinese(vit_architecture: ClipArchitecture) -> ChineseClip:
    """With as many words as the tokenizer: another number is refused in folders from elsewhere."""
    text = replace(vit_architecture.text, vocab_size=21128)
    return ChineseClip(replace(vit_architecture, text=text), seed=5)


def test_image_tower_from_a_folder(fresh: ChineseClip, vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    before = snapshot(fresh)
    tensors = {name: id(parameter) for name, parameter in fresh.named_parameters()}
    account = load_image_tower(fresh, tmp_path / "m")
    assert changed(fresh, before) == {"visual"}
    assert all(torch.equal(fresh.visual.state_dict()[n], t) for n, t in vit.visual.state_dict().items())
    assert {name: id(parameter) for name, parameter in fresh.named_parameters()} == tensors
    assert account.loaded["visual.proj"] == "visual.proj" and account.new == ()
    assert "logit_scale" in account.dropped and "text_projection" in account.dropped
    assert len(account.loaded) + len(account.dropped) == len(to_official(vit.state_dict()))


def test_text_tower_from_an_official_file(fresh: ChineseClip, vit: ChineseClip, official_file: Path) -> None:
    before = snapshot(fresh)
    account = load_text_tower(fresh, official_file)
    assert changed(fresh, before) == {"bert", "text_projection"}
    assert torch.equal(fresh.text_projection, vit.text_projection)
    name = "bert.encoder.layer.1.attention.self.key.weight"
    assert account.loaded[name] == f"module.{name}"
    assert "module.bert.pooler.dense.weight" in account.dropped


@pytest.mark.parametrize("prefix", ["bert.", ""])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_text_tower_from_a_hugging_face_folder(
    chinese: ChineseClip, tmp_path: Path, prefix: str, file: str
) -> None:
    fresh = ChineseClip(chinese.architecture, seed=77)
    with torch.no_grad():
        for parameter in chinese.bert.parameters():
            parameter.add_(0.25)
    state = bert_state(chinese, prefix=prefix)
    torch.save(state, tmp_path / file) if file.endswith("bin") else save_file(state, tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 1, "hidden_act": "gelu"}))
    before = snapshot(fresh)
    account = load_text_tower(fresh, tmp_path)
    assert changed(fresh, before) == {"bert"}
    assert all(torch.equal(fresh.bert.state_dict()[n], t) for n, t in chinese.bert.state_dict().items())
    assert account.new == ("text_projection",)
    assert account.loaded["bert.embeddings.LayerNorm.weight"] == f"{prefix}embeddings.LayerNorm.gamma"
    assert {"cls.predictions.bias", f"{prefix}pooler.dense.weight"} <= set(account.dropped)
    assert read_text_architecture(tmp_path) == chinese.architecture.text


def test_prefix_of_a_parallel_run_is_no_obstacle(chinese: ChineseClip, tmp_path: Path) -> None:
    state = {f"module.{name}": t for name, t in bert_state(chinese, prefix="bert.").items()}
    save_file(state, tmp_path / "model.safetensors")
    fresh = ChineseClip(chinese.architecture, seed=77)
    account = load_text_tower(fresh, tmp_path)  # no config.json: heads are taken to be 64 wide
    assert all(torch.equal(fresh.bert.state_dict()[n], t) for n, t in chinese.bert.state_dict().items())
    assert account.kind == "Hugging Face folder without config.json"


def test_hugging_face_configuration_must_agree(chinese: ChineseClip, tmp_path: Path) -> None:
    save_file(bert_state(chinese, prefix=""), tmp_path / "model.safetensors")
    before = snapshot(chinese)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 2}))
    with pytest.raises(CheckpointError, match="heads: file 2, model 1"):
        load_text_tower(chinese, tmp_path)
    assert read_text_architecture(tmp_path).heads == 2
    (tmp_path / "config.json").write_text(json.dumps({"hidden_act": "relu", "layer_norm_eps": 1e-5}))
    with pytest.raises(CheckpointError) as caught:
        load_text_tower(chinese, tmp_path)
    assert "hidden_act: config.json relu, our tower gelu" in str(caught.value)
    assert "layer_norm_eps: config.json 1e-05, our tower 1e-12" in str(caught.value)
    assert changed(chinese, before) == set()


def test_a_tower_that_does_not_fit_changes_nothing(
    fresh: ChineseClip, resnet: ChineseClip, official_file: Path, tmp_path: Path
) -> None:
    before = snapshot(resnet)
    with pytest.raises(
        CheckpointError, match=r"visual\.conv1\.weight: file \[128, 3, 8, 8\], model \[4, 3, 3, 3\]"
    ):
        load_image_tower(resnet, official_file)
    assert changed(resnet, before) == set()
    save_file({"cls.bias": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"folder without config\.json: it holds no text tower"):
        load_text_tower(fresh, tmp_path)
    save_file({"visual.trunk.cls_token": torch.zeros(1)}, tmp_path / "timm.safetensors")
    with pytest.raises(CheckpointError, match=r"an image tower of an unknown kind: visual\.trunk\.cls_token"):
        read_image_architecture(tmp_path / "timm.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="none of model"):
        load_text_tower(fresh, tmp_path / "empty")


def test_intended_gap_is_named(fresh: ChineseClip, vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    before = snapshot(fresh)
    account = load_text_tower(fresh, tmp_path / "m", skip=["text_projection"])
    assert changed(fresh, before) == {"bert"} and account.new == ("text_projection",)
    account = load_image_tower(fresh, tmp_path / "m", skip={"visual.proj"})
    assert torch.equal(fresh.visual.proj, before["visual.proj"]) and account.new == ("visual.proj",)
    with pytest.raises(AssertionError, match="not tensors of this tower"):
        load_image_tower(fresh, tmp_path / "m", skip=["visual.prj"])


def test_shapes_of_the_towers_in_a_file(
    vit: ChineseClip, resnet: ChineseClip, official_file: Path, tmp_path: Path
) -> None:
    assert read_image_architecture(official_file) == (vit.architecture.image, 24)
    assert read_text_architecture(official_file) == vit.architecture.text
    save_checkpoint(resnet, tmp_path / "m")
    assert read_image_architecture(tmp_path / "m") == (resnet.architecture.image, 24)
    image_only = {
        n: t.clone() for n, t in to_official(resnet.state_dict()).items() if n.startswith("visual.")
    }
    save_file(image_only, tmp_path / "image.safetensors")
    assert read_image_architecture(tmp_path / "image.safetensors") == (resnet.architecture.image, 24)
    with pytest.raises(CheckpointError, match="no text tower"):
        read_text_architecture(tmp_path / "image.safetensors")


def test_image_tower_of_ready_made_features(tmp_path: Path) -> None:
    save_file({"visual.proj": torch.randn(40, 24)}, tmp_path / "f.safetensors")
    architecture, embed_dim = read_image_architecture(tmp_path / "f.safetensors")
    assert architecture.width == 40 and embed_dim == 24


def test_tensor_that_no_plan_knows_stops_the_load(
    fresh: ChineseClip, vit: ChineseClip, tmp_path: Path
) -> None:
    state = {name: tensor.clone() for name, tensor in to_official(vit.state_dict()).items()}
    state["text_decoder.ln.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "m.safetensors")
    before = snapshot(fresh)
    for load in (load_image_tower, load_text_tower):
        with pytest.raises(CheckpointError, match=r"text_decoder\.ln\.weight: file \[3\]"):
            load(fresh, tmp_path / "m.safetensors")
    assert changed(fresh, before) == set()


def test_each_tensor_that_was_left_out_has_its_reason(fresh: ChineseClip, official_file: Path) -> None:
    account = load_image_tower(fresh, official_file, skip=["visual.proj"])
    reasons = account.dropped
    assert reasons["module.visual.proj"] == "asked to be skipped"
    assert "text tower" in reasons["module.text_projection"]
    assert "whole model" in reasons["module.logit_scale"]
    assert "pooler" in reasons["module.bert.pooler.dense.weight"]
    assert "new, not in the file: visual.proj" in str(account)


def test_activation_of_a_folder_must_be_the_models(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    exact = replace(vit.architecture.image, activation="gelu")
    model = ChineseClip(replace(vit.architecture, image=exact))
    with pytest.raises(CheckpointError, match="activation: file quick_gelu, model gelu"):
        load_image_tower(model, tmp_path / "m")
