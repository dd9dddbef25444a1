from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cnclip import available_models, load_from_name
from cnclip.checkpoints import save_checkpoint
from cnclip.checkpoints.names import to_official
from cnclip.errors import CheckpointError, CnclipError, ResourceError, UnknownNameError
from cnclip.finding import find_checkpoint, wanted_files
from cnclip.images.transform import ImageTransform
from cnclip.model import ARCHITECTURES, ChineseClip, ClipArchitecture, FeatureArchitecture
from cnclip.zoo import MODELS


@pytest.fixture
def model() -> ChineseClip:
    return ChineseClip(ARCHITECTURES["tiny-ViT"], seed=1)


@pytest.fixture
def folder(model: ChineseClip, tmp_path: Path) -> Path:
    save_checkpoint(model, tmp_path / "微型")
    return tmp_path / "微型"


def test_official_models_in_their_order() -> None:
    assert available_models() == ["ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50"]
    assert set(MODELS) < set(ARCHITECTURES)


@pytest.mark.parametrize("as_text", [True, False])
def test_folder_path_is_a_name(folder: Path, model: ChineseClip, as_text: bool) -> None:
    loaded, preprocess = load_from_name(str(folder) if as_text else folder, device="cpu")
    assert isinstance(preprocess, ImageTransform)
    assert not any(module.training for module in loaded.modules())
    token_ids = torch.tensor([[101, 3345, 2225, 7991, 102]])
    assert torch.equal(loaded.encode_text(token_ids), loaded.encode_text(token_ids))
    assert torch.equal(loaded.encode_text(token_ids), model.eval().encode_text(token_ids))


def test_transform_has_the_models_picture_size(folder: Path) -> None:
    from PIL import Image

    picture = Image.new("RGB", (50, 70), (200, 10, 10))
    model, preprocess = load_from_name(folder, device="cpu")
    assert model.encode_image(preprocess(picture)[None]).shape == (1, 32)
    larger, preprocess = load_from_name(folder, device="cpu", input_resolution=48)
    assert preprocess(picture).shape == (3, 48, 48)
    assert larger.encode_image(preprocess(picture)[None]).shape == (1, 32)


def test_file_path_is_a_name_and_needs_no_description(tmp_path: Path) -> None:
    resnet = ChineseClip(ARCHITECTURES["tiny-RN"])
    state = {f"module.{name}": tensor for name, tensor in to_official(resnet.state_dict()).items()}
    torch.save({"state_dict": state}, tmp_path / "a.pt")
    loaded, _ = load_from_name(tmp_path / "a.pt", "cpu", vision_model_name="tiny-RN")
    assert torch.equal(loaded.visual.attnpool.q_proj.weight, resnet.visual.attnpool.q_proj.weight)


def test_official_name_takes_the_file_that_lies_there(tmp_path: Path, model: ChineseClip) -> None:
    torch.save({"state_dict": to_official(model.state_dict())}, tmp_path / "clip_cn_vit-b-16.pt")
    with pytest.raises(CheckpointError) as caught:
        load_from_name("ViT-B-16", device="cpu", download_root=tmp_path)
    assert "visual.conv1.weight: file [128, 3, 8, 8], model [768, 3, 16, 16]" in str(caught.value)


def test_default_folder_of_official_files_is_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "clip_cn_rn50.pt").write_bytes(b"<html>")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # else the damaged file would be fetched again
    with pytest.raises(ResourceError) as caught:
        load_from_name("RN50", device="cpu")
    assert "clip_cn_rn50.pt of OFA-Sys/chinese-clip-rn50 is damaged" in str(caught.value)
    assert "into checkpoints by hand" in str(caught.value)


def test_no_network_says_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ResourceError) as caught:
        load_from_name("ViT-H-14", device="cpu", download_root=tmp_path)
    assert "clip_cn_vit-h-14.pt" in str(caught.value) and str(tmp_path) in str(caught.value)
    assert "HF_ENDPOINT" in str(caught.value)
    assert not list(tmp_path.glob("*.pt"))


def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="no such checkpoint: checkpoints/none"):
        find_checkpoint("checkpoints/none")


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (
            ["README.md", "architecture.json", "model.safetensors", "MANIFEST.json", "trainer/state.json"],
            ["README.md", "architecture.json", "model.safetensors", "MANIFEST.json"],
        ),
        (
            ["clip_cn_vit-b-16.pt", "config.json", "pytorch_model.bin", "vocab.txt", "README.md"],
            ["pytorch_model.bin", "config.json", "vocab.txt"],
        ),
        (
            ["config.json", "pytorch_model.bin", "model.safetensors", "tf_model.h5", "vocab.txt"],
            ["model.safetensors", "config.json", "vocab.txt"],
        ),
        (
            [
                "config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "pytorch_model-00001-of-00001.bin",
            ],
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "config.json",
            ],
        ),
        (["README.md", "模型.safetensors"], ["模型.safetensors"]),
        (
            ["open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"],
            ["open_clip_model.safetensors", "open_clip_config.json"],
        ),
        (["a.pt", "b.pt"], []),
        (["README.md"], []),
    ],
)
def test_of_a_repository_those_files_are_fetched_that_make_a_model(
    files: list[str], chosen: list[str]
) -> None:
    assert wanted_files(files) == chosen


def test_other_towers_than_asked_for_are_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"image\.width: checkpoint 128, asked for 768"):
        load_from_name(folder, device="cpu", vision_model_name="ViT-B-16")
    with pytest.raises(CheckpointError, match=r"text\.hidden: checkpoint 64, asked for 768"):
        load_from_name(folder, device="cpu", text_model_name="RBT3-chinese")
    with pytest.raises(UnknownNameError, match="did you mean RBT3-chinese"):
        load_from_name(folder, device="cpu", text_model_name="RBT3-Chinese")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("vit-b-16", "ViT-B-16"), ("ViT-B/16", "ViT-B-16"), ("ViT-H14", "ViT-H-14"), ("RN5O", "RN50")],
)
def test_unknown_name_shows_the_nearest_and_all(name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_from_name(name, device="cpu")
    assert f"did you mean {nearest}?" in str(caught.value)


@pytest.mark.parametrize("name", [None, 5, ["ViT-B-16"]])
def test_what_is_no_name_at_all_is_said(name: object) -> None:
    with pytest.raises(UnknownNameError, match="str or a Path"):
        load_from_name(name, device="cpu")  # type: ignore[arg-type]


def test_names_that_resemble_none_and_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="choose one of ViT-B-16, ViT-L-14"):
        load_from_name("模型", device="cpu")
    for missing in (tmp_path / "none", str(tmp_path / "none"), "none.pt"):
        with pytest.raises(UnknownNameError, match="no such checkpoint"):
            load_from_name(missing, device="cpu")


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta-nonsense"])
def test_device_that_is_not_there(folder: Path, device: str) -> None:
    with pytest.raises(UnknownNameError, match="choose cpu"):
        load_from_name(folder, device=device)


def test_model_of_ready_made_features_has_no_picture_transform(tmp_path: Path) -> None:
    architecture = ClipArchitecture(16, FeatureArchitecture(40), ARCHITECTURES["tiny-ViT"].text)
    save_checkpoint(ChineseClip(architecture), tmp_path / "m")
    with pytest.raises(CnclipError, match="ready-made image features"):
        load_from_name(tmp_path / "m", device="cpu")
