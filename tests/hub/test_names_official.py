"""Official names: where the file is put, what is used again, what is found out about a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip import load_from_name
from cnclip.errors import ArtifactError, CheckpointError, ResourceError
from cnclip.finding import MODELS, find_checkpoint, local_checkpoint
from cnclip.hub.settings import hugging_face_cache, modelscope_cache
from cnclip.model import ARCHITECTURES, ChineseClip

HUGGING_FACE, MODELSCOPE = (
    "OFA-Sys/chinese-clip-vit-base-patch16",
    "AI-ModelScope/chinese-clip-vit-base-patch16",
)
FILE = "clip_cn_vit-b-16.pt"
Formats = dict[str, dict[str, bytes]]
Same = Callable[[ChineseClip, ChineseClip], bool]


@pytest.fixture
def content(
    hub: Any, formats: Formats, tiny: ChineseClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> bytes:
    """Both hubs serve a tiny file as ViT-B-16, which is as tiny here; the working directory is empty."""
    monkeypatch.setitem(ARCHITECTURES, "ViT-B-16", tiny.architecture)
    weights = formats["pt"]["clip_cn_tiny.pt"]
    hub.files |= {name: {FILE: weights, "config.json": b"{}"} for name in (HUGGING_FACE, MODELSCOPE)}
    (tmp_path / "工作").mkdir()
    monkeypatch.chdir(tmp_path / "工作")
    return weights


def in_modelscopes_cache() -> Path:
    return modelscope_cache(MODELSCOPE, "master") / FILE


def in_hugging_faces_cache(hub: Any) -> Path:
    return (
        hugging_face_cache() / f"models--{HUGGING_FACE.replace('/', '--')}" / "snapshots" / hub.commit / FILE
    )


@pytest.mark.parametrize("modelscope", [False, True])
@pytest.mark.parametrize("place", ["argument", "checkpoints", "cache"])
def test_the_file_is_put_where_the_user_wants_it_and_fetched_once(
    hub: Any,
    content: bytes,
    tiny: ChineseClip,
    same: Same,
    tmp_path: Path,
    place: str,
    modelscope: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "下载" if place == "argument" else None
    if place == "checkpoints":
        Path("checkpoints").mkdir()
    cache = in_modelscopes_cache() if modelscope else in_hugging_faces_cache(hub)
    expected = {
        "argument": tmp_path / "下载" / FILE,
        "checkpoints": Path("checkpoints") / FILE,
        "cache": cache,
    }
    model, _ = load_from_name("ViT-B-16", "cpu", root, use_modelscope=modelscope)
    assert same(model, tiny)
    assert expected[place].read_bytes() == content
    assert [path for name, path in expected.items() if path.exists()] == [expected[place]]
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for asked_of_modelscope in (modelscope, not modelscope):  # the file is the same, whoever gave it
        model, _ = load_from_name("ViT-B-16", "cpu", root, use_modelscope=asked_of_modelscope)
        assert same(model, tiny)
    assert hub.asked == []
    if place != "argument":
        assert local_checkpoint("ViT-B-16") == expected[place]


def test_a_file_in_checkpoints_is_used_before_the_cache(
    hub: Any, content: bytes, formats: Formats, tiny: ChineseClip
) -> None:
    load_from_name("ViT-B-16", "cpu")
    Path("checkpoints").mkdir()
    assert find_checkpoint("ViT-B-16") == in_hugging_faces_cache(hub)
    (Path("checkpoints") / FILE).write_bytes(content)
    assert find_checkpoint("ViT-B-16") == Path("checkpoints") / FILE
    assert len(hub.bodies()) == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_named_and_fetched_again(
    hub: Any, content: bytes, tiny: ChineseClip, same: Same, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path("checkpoints") / FILE
    file.parent.mkdir()
    file.write_bytes(content[: int(len(content) * share)])
    assert same(load_from_name("ViT-B-16", "cpu")[0], tiny)
    assert f"{file}: " in caplog.text and "it is fetched again" in caplog.text
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir() if not path.name.startswith(".")] == [FILE]


def test_a_truncated_file_is_never_loaded_offline(
    hub: Any, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("checkpoints").mkdir()
    (Path("checkpoints") / FILE).write_bytes(content[:-500])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ResourceError, match=f"{FILE} of {HUGGING_FACE} is damaged on this machine"):
        load_from_name("ViT-B-16", "cpu")


@pytest.mark.parametrize("modelscope", [False, True])
def test_bytes_that_the_hub_did_not_promise_are_not_kept(
    hub: Any, content: bytes, tmp_path: Path, modelscope: bool
) -> None:
    hub.always = "wrong"
    with pytest.raises(ArtifactError, match="the hub says"):
        load_from_name("ViT-B-16", "cpu", tmp_path / "下载", use_modelscope=modelscope)
    assert not list((tmp_path / "下载").glob("*.pt*"))


def test_a_file_of_another_architecture_says_what_it_is(hub: Any, content: bytes, tmp_path: Path) -> None:
    rn50 = MODELS["RN50"]
    hub.files[f"OFA-Sys/{rn50.repository}"] = {rn50.file: content}
    with pytest.raises(CheckpointError) as caught:
        load_from_name("RN50", "cpu", tmp_path)
    said = str(caught.value)
    assert rn50.file in said and "the file looks like ViT-B-16" in said


def test_a_name_that_is_official_is_not_looked_for_in_the_folder(
    hub: Any, content: bytes, tiny: ChineseClip, same: Same, tmp_path: Path
) -> None:
    Path("ViT-B-16").mkdir()
    assert same(load_from_name("ViT-B-16", "cpu", tmp_path)[0], tiny)


def test_a_repository_that_lacks_the_file_is_named(hub: Any, content: bytes) -> None:
    for name in (HUGGING_FACE, MODELSCOPE):
        hub.files[name] = {"README.md": b"moved"}
    for modelscope, repository in ((False, HUGGING_FACE), (True, MODELSCOPE)):
        with pytest.raises(Exception, match=f"no {FILE} of {repository}") as caught:
            load_from_name("ViT-B-16", "cpu", use_modelscope=modelscope)
        assert "fix:" in str(caught.value)
