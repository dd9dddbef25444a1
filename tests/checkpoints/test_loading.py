from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cnclip.checkpoints import Precision, load_checkpoint, load_with_account, save_checkpoint
from cnclip.checkpoints.names import to_official
from cnclip.errors import ArtifactError, CheckpointError
from cnclip.model import ARCHITECTURES, ChineseClip

Caplog = pytest.LogCaptureFixture
Same = Callable[[ChineseClip, ChineseClip], bool]


def test_file_inside_a_folder_is_read_with_what_the_folder_says(tmp_path: Path) -> None:
    architecture = ARCHITECTURES["tiny-ViT"]  # 4 text heads of 16, which no tensor shows
    save_checkpoint(ChineseClip(architecture), tmp_path / "m")
    assert load_checkpoint(tmp_path / "m" / "model.safetensors").architecture == architecture
    (tmp_path / "m" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="7 bytes"):
        load_checkpoint(tmp_path / "m" / "model.safetensors")


def test_guessed_heads_are_warned_of(vit: ChineseClip, tmp_path: Path, caplog: Caplog) -> None:
    save_file(to_official(vit.state_dict()), tmp_path / "m.safetensors")
    load_checkpoint(tmp_path / "m.safetensors")
    assert "64 wide" in caplog.text


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt"])
def test_loaded_model_does_not_change_with_a_file_that_is_rewritten_in_place(
    vit: ChineseClip, tmp_path: Path, same: Same, name: str
) -> None:
    path = tmp_path / name
    state = {key: tensor.contiguous() for key, tensor in to_official(vit.state_dict()).items()}
    save = save_file if name.endswith(".safetensors") else torch.save
    save(state, path)
    loaded = load_checkpoint(path)
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert same(loaded, vit)


def test_edited_readme_in_the_folder_does_not_keep_the_model_from_loading(
    vit: ChineseClip, tmp_path: Path, same: Same
) -> None:
    save_checkpoint(vit, tmp_path / "m", extra_files={"README.md": "模型"})
    (tmp_path / "m" / "README.md").write_text("我的模型", encoding="utf-8")
    assert same(load_checkpoint(tmp_path / "m"), vit)


def test_dropout_is_no_difference_between_models(vit: ChineseClip, tmp_path: Path) -> None:
    text = dataclasses.replace(vit.architecture.text, dropout=0.0, attention_dropout=0.0)
    asked = dataclasses.replace(vit.architecture, text=text)
    save_checkpoint(vit, tmp_path / "m")
    assert load_checkpoint(tmp_path / "m", architecture=asked).architecture == vit.architecture


def test_stretched_positions_are_in_the_account_and_keep_their_digits(
    vit: ChineseClip, tmp_path: Path
) -> None:
    state = {name: tensor.half().contiguous() for name, tensor in to_official(vit.state_dict()).items()}
    save_file(state, tmp_path / "half.safetensors")
    model, account = load_with_account(tmp_path / "half.safetensors", resolution=48)
    assert "stretched to 48" in account.changed["visual.positional_embedding"] and "48" in str(account)
    table = model.visual.positional_embedding
    assert not torch.equal(table, table.half().float())


@pytest.mark.parametrize("precision", ["fp16", "cn_clip"])
def test_weights_too_large_for_half_precision_are_refused(
    vit: ChineseClip, tmp_path: Path, precision: Precision
) -> None:
    with torch.no_grad():
        vit.visual.proj[0, 0] = 1e5
    save_checkpoint(vit, tmp_path / "m")
    with pytest.raises(CheckpointError, match="too large for the precision"):
        load_checkpoint(tmp_path / "m", precision=precision)


def test_block_number_from_nowhere_does_not_make_blocks(vit: ChineseClip, tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in to_official(vit.state_dict()).items()}
    state["bert.encoder.layer.1000000000.output.dense.bias"] = torch.zeros(64)
    save_file(state, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="numbered up to 1000000000"):
        load_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize("shape", [(2, 4), ()])
def test_joined_matrix_that_holds_no_three_parts_is_left_over(
    vit: ChineseClip, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    state = {name: tensor.contiguous() for name, tensor in to_official(vit.state_dict()).items()}
    state["bert.encoder.layer.0.attention.self.Wqkv.weight"] = torch.zeros(shape)
    save_file(state, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"Wqkv\.weight: file"):
        load_checkpoint(tmp_path / "m.safetensors")
