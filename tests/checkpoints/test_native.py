from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cnclip.artifacts import read_manifest, write_manifest
from cnclip.checkpoints import (
    Interpolation,
    load_checkpoint,
    read_architecture,
    save_checkpoint,
)
from cnclip.errors import ArtifactError, CheckpointError, CnclipError
from cnclip.model import ChineseClip

Same = Callable[[ChineseClip, ChineseClip], bool]


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_saved_model_comes_back_bit_for_bit_in_evaluation_mode(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, same: Same
) -> None:
    model = request.getfixturevalue(kind)
    save_checkpoint(model.train(), tmp_path / "模型")
    loaded = load_checkpoint(tmp_path / "模型")
    assert same(model, loaded)
    assert not any(module.training for module in loaded.modules())
    assert loaded.architecture == model.architecture == read_architecture(tmp_path / "模型")
    token_ids = torch.tensor([[1, 5, 6, 2]])
    assert torch.equal(loaded.encode_text(token_ids), loaded.encode_text(token_ids))
    assert torch.equal(loaded.encode_text(token_ids), model.eval().encode_text(token_ids))


def test_file_holds_the_official_names(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    assert tensors["visual.transformer.resblocks.1.attn.in_proj_weight"].shape == (384, 128)
    parts = [
        tensors[f"bert.encoder.layer.0.attention.self.{part}.weight"] for part in ("query", "key", "value")
    ]
    assert torch.equal(torch.cat(parts), vit.bert.encoder.layer[0].attention.self.qkv.weight)
    assert not any("qkv" in name or "module." in name or "in_proj." in name for name in tensors)
    assert tensors["logit_scale"].shape == ()


def test_saving_twice_gives_the_same_bytes(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "a")
    save_checkpoint(load_checkpoint(tmp_path / "a"), tmp_path / "b")
    assert read_manifest(tmp_path / "a").files == read_manifest(tmp_path / "b").files


def test_facts_and_extra_files_lie_beside_the_weights(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(
        vit, tmp_path / "m", facts={"step": 9}, extra_files={"recipe.yaml": "种子: 1\n", "notes/a.txt": "b"}
    )
    manifest = read_manifest(tmp_path / "m")
    assert manifest.facts == {"step": 9}
    assert set(manifest.files) == {"model.safetensors", "architecture.json", "recipe.yaml", "notes/a.txt"}
    assert (tmp_path / "m" / "recipe.yaml").read_text(encoding="utf-8") == "种子: 1\n"
    with pytest.raises(AssertionError, match="leaves the folder"):
        save_checkpoint(vit, tmp_path / "n", extra_files={"../x": ""})


def test_existing_folder_is_replaced_only_on_request(
    vit: ChineseClip, resnet: ChineseClip, tmp_path: Path, same: Same
) -> None:
    save_checkpoint(vit, tmp_path / "m")
    with pytest.raises(ArtifactError, match="exists already"):
        save_checkpoint(resnet, tmp_path / "m")
    assert same(load_checkpoint(tmp_path / "m"), vit)
    held = load_checkpoint(tmp_path / "m")
    save_checkpoint(resnet, tmp_path / "m", replace=True)
    assert same(load_checkpoint(tmp_path / "m"), resnet)
    assert same(held, vit)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_never_written(
    vit: ChineseClip, tmp_path: Path, value: float
) -> None:
    with torch.no_grad():
        vit.bert.encoder.layer[1].attention.self.qkv.weight[70, 3] = value
    with pytest.raises(CheckpointError, match=r"layer\.1\.attention\.self\.key\.weight"):
        save_checkpoint(vit, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_training_a_loaded_model_leaves_its_file_alone(vit: ChineseClip, tmp_path: Path, same: Same) -> None:
    save_checkpoint(vit, tmp_path / "m")
    loaded = load_checkpoint(tmp_path / "m")
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1.0)
    assert same(load_checkpoint(tmp_path / "m"), vit)


def test_every_flipped_bit_and_cut_is_found(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m", extra_files={"recipe.yaml": "a: 1\n"})
    rng = random.Random(4)
    for name in ("model.safetensors", "architecture.json"):
        file = tmp_path / "m" / name
        good = file.read_bytes()
        for _ in range(20):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            file.write_bytes(bad)
            with pytest.raises(ArtifactError, match=name):
                load_checkpoint(tmp_path / "m")
        file.write_bytes(good[: rng.randrange(len(good))])
        with pytest.raises(ArtifactError, match=name):
            load_checkpoint(tmp_path / "m")
        file.write_bytes(good)
    load_checkpoint(tmp_path / "m")


def test_broken_folders_are_refused(vit: ChineseClip, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="has no architecture"):
        load_checkpoint(tmp_path / "empty")
    save_checkpoint(vit, tmp_path / "m")
    (tmp_path / "m" / "MANIFEST.json").unlink()
    with pytest.raises(ArtifactError, match=r"MANIFEST\.json is missing"):
        load_checkpoint(tmp_path / "m")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "upgrade cnclip"),
        ("embed_dim", "24", "not an architecture"),
        ("embed_dim", 25, "do not fit"),
    ],
)
def test_architecture_that_is_new_damaged_or_wrong_is_refused(
    vit: ChineseClip, tmp_path: Path, key: str, value: object, message: str
) -> None:
    save_checkpoint(vit, tmp_path / "m")
    content = json.loads((tmp_path / "m" / "architecture.json").read_text(encoding="utf-8"))
    content[key] = value
    _replace_file(tmp_path / "m", "architecture.json", json.dumps(content))
    with pytest.raises(CnclipError, match=message):
        load_checkpoint(tmp_path / "m")


def test_another_architecture_than_asked_for_lists_both_values(
    vit: ChineseClip, resnet: ChineseClip, tmp_path: Path
) -> None:
    save_checkpoint(vit, tmp_path / "m")
    load_checkpoint(tmp_path / "m", architecture=vit.architecture)
    with pytest.raises(CheckpointError, match=r"image\.kind: checkpoint vit, asked for resnet"):
        load_checkpoint(tmp_path / "m", architecture=resnet.architecture)


def test_position_table_is_stretched_on_request(vit: ChineseClip, tmp_path: Path) -> None:
    save_checkpoint(vit, tmp_path / "m")
    larger = load_checkpoint(tmp_path / "m", resolution=48)
    assert larger.architecture.image.resolution == 48
    assert larger.encode_image(torch.zeros(1, 3, 48, 48)).shape == (1, 24)
    save_checkpoint(larger, tmp_path / "l")
    assert load_checkpoint(tmp_path / "l").architecture == larger.architecture


@pytest.mark.parametrize("interpolation", ["cn_clip", "antialias"])
def test_position_table_of_a_resnet_pool_is_stretched_too(
    resnet: ChineseClip, tmp_path: Path, interpolation: Interpolation
) -> None:
    save_checkpoint(resnet, tmp_path / "m")
    assert load_checkpoint(tmp_path / "m", resolution=32).architecture == resnet.architecture
    larger = load_checkpoint(tmp_path / "m", resolution=64, interpolation=interpolation)
    assert larger.visual.attnpool.positional_embedding.shape == (1 + 4, 256)
    assert larger.encode_image(torch.zeros(1, 3, 64, 64)).shape == (1, larger.architecture.embed_dim)
    with pytest.raises(CheckpointError, match="multiple of 32"):
        load_checkpoint(tmp_path / "m", resolution=48)


def _replace_file(folder: Path, name: str, text: str) -> None:
    """Change a file and its manifest entry: what a hostile hand would do."""
    (folder / name).write_text(text, encoding="utf-8")
    write_manifest(folder, read_manifest(folder).facts)


def test_weights_start_at_aligned_addresses_so_that_results_do_not_depend_on_the_way_here(
    vit: ChineseClip, tmp_path: Path
) -> None:
    save_checkpoint(vit, tmp_path / "m")
    loaded = load_checkpoint(tmp_path / "m")
    assert all(tensor.data_ptr() % 64 == 0 for tensor in loaded.state_dict().values())
    save_file(load_file(tmp_path / "m" / "model.safetensors"), tmp_path / "packed.safetensors")
    packed = load_checkpoint(tmp_path / "packed.safetensors")
    token_ids, pictures = torch.tensor([[1, 5, 6, 2]]), torch.randn(2, 3, 32, 32)
    for other in (loaded, packed):
        assert torch.equal(other.encode_text(token_ids), vit.encode_text(token_ids))
        assert torch.equal(other.encode_image(pictures), vit.encode_image(pictures))
