"""Files in the layout of cn_clip's releases and of its training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cnclip.checkpoints import load_checkpoint, read_architecture
from cnclip.checkpoints.detect import detect_architecture
from cnclip.checkpoints.names import official_tensors, to_official
from cnclip.errors import CheckpointError
from cnclip.model import ARCHITECTURES, ChineseClip, ClipArchitecture

Same = Callable[[ChineseClip, ChineseClip], bool]
Official = Callable[[ChineseClip], dict[str, Tensor]]
RELEASED = ["ViT-B-16", "ViT-B-32", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50"]


def test_released_file_loads(official_file: Path, vit: ChineseClip, same: Same) -> None:
    model = load_checkpoint(official_file)
    assert same(model, vit) and not model.training
    assert model.architecture == vit.architecture == read_architecture(official_file)


def test_fine_tuned_file_loads_and_its_optimizer_is_left_alone(
    vit: ChineseClip, official: Official, tmp_path: Path, same: Same
) -> None:
    optimizer = torch.optim.AdamW(vit.parameters())
    vit(torch.randn(2, 3, 32, 32), torch.tensor([[1, 5, 2], [1, 6, 2]])).text.sum().backward()
    optimizer.step()
    content = {
        "epoch": 1,
        "step": 2,
        "name": "x",
        "state_dict": official(vit),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(content, tmp_path / "epoch1.pt")
    assert same(load_checkpoint(tmp_path / "epoch1.pt"), vit)


def test_resnet_file_loads_with_its_statistics(
    resnet: ChineseClip, official: Official, tmp_path: Path, same: Same
) -> None:
    torch.save({"state_dict": official(resnet)}, tmp_path / "rn.pt")
    assert same(load_checkpoint(tmp_path / "rn.pt"), resnet)


def test_prefix_wrapper_and_pooler_may_be_there_or_not_for_each_name(
    vit: ChineseClip, official: Official, tmp_path: Path, same: Same
) -> None:
    state = official(vit)
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    mixed = {
        name if index % 2 else f"module.{name}": tensor for index, (name, tensor) in enumerate(plain.items())
    }
    no_pooler = {name: tensor for name, tensor in plain.items() if "pooler" not in name}
    positions = {**plain, "bert.embeddings.position_ids": torch.arange(20)[None]}
    for content in (state, plain, mixed, no_pooler, positions, {"state_dict": mixed}):
        torch.save(content, tmp_path / "m.pt")
        assert same(load_checkpoint(tmp_path / "m.pt"), vit)
    save_file(plain, tmp_path / "m.safetensors")
    assert same(load_checkpoint(tmp_path / "m.safetensors"), vit)


def test_old_file_format_of_torch_loads(
    vit: ChineseClip, official: Official, tmp_path: Path, same: Same
) -> None:
    torch.save({"state_dict": official(vit)}, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    assert same(load_checkpoint(tmp_path / "m.pt"), vit)


def test_names_of_flash_attention_are_known(
    vit: ChineseClip, official: Official, tmp_path: Path, same: Same
) -> None:
    state = {}
    for name, tensor in official(vit).items():
        name = name.replace(".attn.in_proj_", ".attn.Wqkv.").replace(
            "attention.output.dense", "attention.self.out_proj"
        )
        if ".self.query." in name:
            parts = [official(vit)[name.replace("query", part)] for part in ("query", "key", "value")]
            state[name.replace("query", "Wqkv")] = torch.cat(parts)
        elif ".self.key." not in name and ".self.value." not in name:
            state[name] = tensor
    torch.save({"state_dict": state}, tmp_path / "m.pt")
    assert same(load_checkpoint(tmp_path / "m.pt"), vit)


def test_half_precision_file_becomes_float32(vit: ChineseClip, official: Official, tmp_path: Path) -> None:
    torch.save({name: tensor.half() for name, tensor in official(vit).items()}, tmp_path / "m.pt")
    model = load_checkpoint(tmp_path / "m.pt")
    assert model.dtype == torch.float32
    assert torch.equal(model.text_projection, vit.text_projection.half().float())


@pytest.mark.parametrize("name", RELEASED)
def test_released_architectures_are_told_from_their_tensors(name: str) -> None:
    with torch.device("meta"):
        tensors = to_official(ChineseClip(ARCHITECTURES[name]).state_dict())
    assert detect_architecture(tensors, where="") == ARCHITECTURES[name]


def test_heads_that_cannot_be_told_must_be_given(tmp_path: Path) -> None:
    tiny = ChineseClip(ARCHITECTURES["tiny-RN"])
    state = to_official(tiny.state_dict())
    state["bert.embeddings.word_embeddings.weight"] = torch.zeros(80, 60)
    with pytest.raises(CheckpointError, match="number of heads of width 60 is not known"):
        detect_architecture(state, where="")


def test_wrong_architecture_lists_both_shapes_and_guesses(
    official_file: Path, vit_architecture: ClipArchitecture
) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(official_file, architecture=ARCHITECTURES["ViT-B-16"])
    message = str(caught.value)
    assert "visual.conv1.weight: file [128, 3, 8, 8], model [768, 3, 16, 16]" in message
    assert "visual.transformer.resblocks.2.ln_1.weight: not in the file, model [768]" in message
    assert "more like these" in message and "leave out the model's name" in message


def test_each_difference_is_named(vit: ChineseClip, official: Official, tmp_path: Path) -> None:
    state = official(vit)
    state["module.visual.proj"] = torch.zeros(128, 23)
    state["module.visual.ln_post.bias"] = torch.zeros(127)
    del state["module.bert.encoder.layer.1.output.dense.bias"]
    state["module.visual.extra"] = torch.zeros(2)
    torch.save({"state_dict": state}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "m.pt", architecture=vit.architecture)
    for line in (
        "4 tensors do not fit",
        "visual.proj: file [128, 23], model [128, 24]",
        "visual.ln_post.bias: file [127], model [128]",
        "bert.encoder.layer.1.output.dense.bias: not in the file, model [64]",
        "visual.extra: file [2], not in the model",
    ):
        assert line in str(caught.value)


def test_nan_wrong_type_and_doubles_are_refused(vit: ChineseClip, official: Official, tmp_path: Path) -> None:
    good = official(vit)
    poisoned = dict(good)
    poisoned["module.visual.ln_pre.bias"] = torch.full((128,), float("nan"))
    whole_numbers = {**good, "module.visual.ln_pre.bias": torch.zeros(128, dtype=torch.int64)}
    doubled = {**good, "visual.proj": good["module.visual.proj"]}
    for state, message in (
        (poisoned, "visual.ln_pre.bias"),
        (whole_numbers, "torch.int64"),
        (doubled, "are both visual.proj"),
    ):
        torch.save(state, tmp_path / "m.pt")
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(tmp_path / "m.pt")


def test_tensors_of_another_memory_order_are_normalised(
    vit: ChineseClip, official: Official, tmp_path: Path, same: Same
) -> None:
    state = official(vit)
    state["module.visual.proj"] = state["module.visual.proj"].t().contiguous().t()
    torch.save(state, tmp_path / "m.pt")
    model = load_checkpoint(tmp_path / "m.pt")
    assert same(model, vit) and model.visual.proj.is_contiguous()


def test_names_are_traced_to_the_file() -> None:
    named = official_tensors(
        {"module.logit_scale": torch.ones(()), "bert.pooler.dense.bias": torch.ones(1)}, where=""
    )
    assert named.origins == {"logit_scale": "module.logit_scale"}
    assert set(named.dropped) == {"bert.pooler.dense.bias"}


MISMATCHES: dict[str, tuple[Callable[[dict[str, Tensor]], object], list[str]]] = {
    "shape": (
        lambda state: state.update({"visual.proj": torch.zeros(128, 23)}),
        ["visual.proj: file [128, 23], model [128, 24]"],
    ),
    "transposed": (
        lambda state: state.update({"visual.proj": state["visual.proj"].T.contiguous()}),
        ["visual.proj: file [24, 128], model [128, 24]"],
    ),
    "one axis too few": (
        lambda state: state.update({"logit_scale": torch.ones(1)}),
        ["logit_scale: file [1], model []"],
    ),
    "missing": (
        lambda state: state.pop("bert.encoder.layer.1.output.dense.bias"),
        ["bert.encoder.layer.1.output.dense.bias: not in the file, model [64]"],
    ),
    "missing key of an attention": (
        lambda state: state.pop("bert.encoder.layer.0.attention.self.key.weight"),
        ["bert.encoder.layer.0.attention.self.key.weight: not in the file, model [64, 64]"],
    ),
    "extra": (
        lambda state: state.update({"visual.extra": torch.zeros(2, 3)}),
        ["visual.extra: file [2, 3], not in the model"],
    ),
    "another layer": (
        lambda state: state.update({"bert.encoder.layer.2.output.dense.bias": torch.zeros(64)}),
        ["bert.encoder.layer.2.output.dense.bias: file [64], not in the model"],
    ),
    "type": (
        lambda state: state.update({"visual.ln_pre.bias": torch.zeros(128, dtype=torch.int64)}),
        ["visual.ln_pre.bias", "torch.int64", "torch.float32"],
    ),
    "NaN": (
        lambda state: state["bert.encoder.layer.0.attention.self.query.bias"].fill_(float("nan")),
        ["bert.encoder.layer.0.attention.self.query.bias", "NaN"],
    ),
    "infinity": (
        lambda state: state["visual.conv1.weight"].view(-1)[7:8].fill_(float("inf")),
        ["visual.conv1.weight", "infinity"],
    ),
    "renamed": (
        lambda state: state.update({"visual.projection": state.pop("visual.proj")}),
        [
            "visual.proj: not in the file, model [128, 24]",
            "visual.projection: file [128, 24], not in the model",
        ],
    ),
}


@pytest.mark.parametrize("mismatch", MISMATCHES)
def test_mismatch_names_tensors_and_shapes(
    vit: ChineseClip, official: Official, tmp_path: Path, mismatch: str
) -> None:
    state = {name.removeprefix("module."): tensor for name, tensor in official(vit).items()}
    change, messages = MISMATCHES[mismatch]
    change(state)
    torch.save({"state_dict": state}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "m.pt", architecture=vit.architecture)
    assert all(message in str(caught.value) for message in messages)
    assert str(tmp_path / "m.pt") in str(caught.value) and caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["ViT-B-16", "RN50", "tiny-RN"])
def test_wrong_architecture_names_tensors_of_both(official_file: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"visual\.\S+: file \[\d+.*\], (model \[|not in the model)"):
        load_checkpoint(official_file, architecture=ARCHITECTURES[name])
