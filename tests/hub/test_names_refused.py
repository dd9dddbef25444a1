"""Names that no model answers to: what is said of them, and that nothing is asked of the hub in vain."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from cnclip import load_from_name
from cnclip.errors import CheckpointError, RefusedError, ResourceError, UnknownNameError
from cnclip.finding import find_checkpoint

NAME = "me/emoji-clip"
Formats = dict[str, dict[str, bytes]]


@pytest.mark.parametrize("modelscope", [False, True])
def test_an_unknown_repository_says_what_else_a_name_may_be(hub: Any, modelscope: bool) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_from_name("nobody/nothing", "cpu", use_modelscope=modelscope)
    said = str(caught.value)
    assert "'nobody/nothing' is neither a path that exists nor a repository" in said
    assert "has no repository nobody/nothing" in said and "ViT-L-14-336, ViT-H-14" in said
    assert hub.address in said
    assert len([ask for ask in hub.asked if "nobody/nothing" in ask.path]) == 1


def test_a_private_repository_asks_for_a_login(hub: Any, formats: Formats) -> None:
    hub.files[NAME] = formats["pt"]
    hub.forbidden.add(NAME)
    with pytest.raises(UnknownNameError, match="shows it to its members only") as caught:
        load_from_name(NAME, "cpu")
    assert "hf auth login" in str(caught.value)


@pytest.mark.parametrize("token", [None, "hf_stranger"])
def test_a_gated_repository_asks_for_access(
    hub: Any, formats: Formats, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.files[NAME] = formats["pt"]
    hub.gated.add(NAME)
    with pytest.raises(ResourceError, match="asked for access") as caught:
        load_from_name(NAME, "cpu")
    assert "clip_cn_tiny.pt of me/emoji-clip" in str(caught.value) and "hf auth login" in str(caught.value)
    hub.files["OFA-Sys/chinese-clip-rn50"] = {"clip_cn_rn50.pt": b"x"}
    hub.gated.add("OFA-Sys/chinese-clip-rn50")
    with pytest.raises(ResourceError, match="asked for access"):
        load_from_name("RN50", "cpu")


@pytest.mark.parametrize("modelscope", [False, True])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "no model in this repository; it has no files at all"),
        (["README.md"], "no model in this repository; it has README.md"),
        (["a.pt", "b.pt"], "more than one model in this repository; it has a.pt, b.pt"),
        (["sub/model.safetensors"], "no model in this repository; it has sub/model.safetensors"),
        (["architecture.json"], "no model in this repository"),
        (["config.json", "tf_model.h5", "training_args.bin"], "no model in this repository"),
        ([f"图{number:03}.txt" for number in range(50)], "图019.txt … and 30 more"),
    ],
)
def test_a_repository_without_one_model_is_told_by_its_files(
    hub: Any, files: list[str], said: str, modelscope: bool
) -> None:
    hub.files[NAME] = dict.fromkeys(files, b"x")
    with pytest.raises(CheckpointError) as caught:
        load_from_name(NAME, "cpu", use_modelscope=modelscope)
    assert said in str(caught.value) and caught.value.where == NAME and caught.value.fix
    assert hub.bodies() == []


@pytest.mark.parametrize(
    "files",
    [
        {"a.pt": "pt", "a.safetensors": "safetensors"},
        {"a.pth": "pt"},
        {"a.pt": "pt", "training_args.bin": "", "optimizer.pt": "", "rng_state_0.pth": ""},
        {"我的 模型#1?%.pt": "pt"},
        {"-rf.pt": "pt"},
    ],
)
def test_one_model_among_other_files_is_found(
    hub: Any, formats: Formats, tmp_path: Path, files: dict[str, str]
) -> None:
    weights = {"pt": formats["pt"]["clip_cn_tiny.pt"], "safetensors": formats["native"]["model.safetensors"]}
    hub.files[NAME] = {name: weights.get(kind, b"none") for name, kind in files.items()}
    model, _ = load_from_name(NAME, "cpu", tmp_path)
    assert model.architecture.image.width == 64 and len(hub.bodies()) == 1


def test_code_in_a_repositorys_file_is_never_run(hub: Any, tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    buffer = io.BytesIO()
    torch.save({"state_dict": Touch()}, buffer)
    hub.files[NAME] = {"model.pt": buffer.getvalue()}
    with pytest.raises(RefusedError, match="was not run"):
        load_from_name(NAME, "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ViT-B/16", "ViT-B-16"),
        ("ViT-L/14-336", "ViT-L-14-336"),
        ("ViT-L/14@336px", "ViT-L-14-336"),
        ("vit/h-14", "ViT-H-14"),
        ("RN/50", "RN50"),
        ("ViT-B-16 ", "ViT-B-16"),
    ],
)
def test_a_slip_in_an_official_name_never_reaches_the_network(hub: Any, name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean {nearest}"):
        load_from_name(name, "cpu")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["me/ViT-B-16", "me/vit-l-14-336", "r/RN50", "ant/ViT-H-14"])
def test_a_repository_called_like_an_official_model_is_no_slip(
    hub: Any, formats: Formats, name: str, tmp_path: Path
) -> None:
    hub.files[name] = formats["pt"]
    assert load_from_name(name, "cpu", tmp_path)[0].architecture.embed_dim == 16


@pytest.mark.parametrize(
    "name",
    ["./none", "../a/b", "/none/none", "~/m", "a/b/c", "模型/表情", "none.pt", "me/none.safetensors", "a/b\n",
     "https://huggingface.co/a/b", "owner/..", Path("a/b"), "a" * 300 + ".pt"],
)  # fmt: skip
def test_what_reads_like_a_path_never_reaches_the_network(hub: Any, name: str | Path) -> None:
    with pytest.raises(UnknownNameError, match="no such checkpoint"):
        find_checkpoint(name)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["", " ", "x\0y", "bert-base-chinese", "模型", "a" * 300])
def test_what_is_no_name_at_all_says_which_there_are(hub: Any, name: str) -> None:
    with pytest.raises(UnknownNameError, match="or owner/name of a repository, or a path"):
        find_checkpoint(name)
    assert hub.asked == []


def test_a_folder_of_the_owners_name_makes_it_a_path_and_says_so(
    hub: Any, formats: Formats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[NAME] = formats["pt"]
    (tmp_path / "me").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="as there is a folder me here"):
        load_from_name(NAME, "cpu")
    assert hub.asked == []


def test_a_path_that_exists_is_never_taken_for_a_repository(
    hub: Any, formats: Formats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[NAME] = formats["hf"]
    for file, content in formats["native"].items():
        (tmp_path / NAME).mkdir(parents=True, exist_ok=True)
        (tmp_path / NAME / file).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(NAME) == Path(NAME)
    load_from_name(NAME, "cpu")
    assert hub.asked == []


def test_out_of_reach_names_the_address_and_what_to_do(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError) as caught:
        load_from_name(NAME, "cpu")
    assert "http://127.0.0.1:9/me/emoji-clip" in str(caught.value) and "HF_ENDPOINT" in str(caught.value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ResourceError, match="HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids"):
        load_from_name(NAME, "cpu")
