"""Where fetched files lie, what is used without asking, and what is said where a file cannot be had."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from safetensors.torch import save_file

from cnclip.errors import CnclipError, RefusedError, ResourceError, UnknownNameError
from cnclip.hub import HubName, fetch_file
from cnclip.hub.settings import hugging_face_cache

REPOSITORY, WEIGHTS = "OFA-Sys/chinese-clip-test", "clip_cn_test.pt"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


@pytest.fixture
def real_weights(hub: Any, tmp_path: Path) -> bytes:
    """Puts a file of torch.save on the hub."""
    torch.save({"重": torch.arange(5000.0)}, tmp_path / "w.pt")
    hub.files[REPOSITORY][WEIGHTS] = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").unlink()
    return bytes(hub.files[REPOSITORY][WEIGHTS])


def test_the_cache_is_the_one_of_huggingface_hub(hub: Any) -> None:
    cache = str(hugging_face_cache())
    for file in (WEIGHTS, "config.json", "sub/vocab.txt"):
        path = fetch_file(REPOSITORY, file)
        assert path.read_bytes() == hub.files[REPOSITORY][file]
        assert try_to_load_from_cache(REPOSITORY, file, cache_dir=cache) == str(path)
        found = hf_hub_download(REPOSITORY, file, cache_dir=cache, local_files_only=True)
        assert found == str(path)
    before = len(hub.bodies())
    assert hf_hub_download(REPOSITORY, WEIGHTS, cache_dir=cache, endpoint=hub.address) == str(
        path.parents[1] / WEIGHTS
    )
    assert len(hub.bodies()) == before


def test_what_huggingface_hub_downloaded_is_used_without_the_network(hub: Any) -> None:
    path = hf_hub_download(REPOSITORY, WEIGHTS, cache_dir=hugging_face_cache(), endpoint=hub.address)
    hub.asked.clear()
    assert str(fetch_file(REPOSITORY, WEIGHTS)) == path
    assert hub.asked == []


def test_a_flipped_file_in_the_cache_is_named_and_fetched_again(
    hub: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = fetch_file(REPOSITORY, WEIGHTS)
    flip(path, 1000)
    with caplog.at_level(logging.WARNING, "cnclip"):
        assert fetch_file(REPOSITORY, WEIGHTS).read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert "sha256" in caplog.text and "fetched again" in caplog.text
    assert path.is_symlink()


def test_a_revision_has_a_snapshot_of_its_own(hub: Any) -> None:
    path = fetch_file(REPOSITORY, WEIGHTS, revision=COMMIT)
    assert path.parent.name == COMMIT
    hub.asked.clear()
    assert fetch_file(REPOSITORY, WEIGHTS, revision=COMMIT) == path
    assert hub.asked == []


def test_modelscope_has_a_cache_of_its_own(hub: Any, tmp_path: Path) -> None:
    path = fetch_file(REPOSITORY, WEIGHTS, hub="modelscope")
    assert path.is_relative_to(tmp_path / "缓存" / "cnclip")
    hub.asked.clear()
    assert fetch_file(REPOSITORY, WEIGHTS, hub="modelscope") == path
    assert hub.asked == []


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_a_whole_file_in_the_folder_is_used_without_the_network(
    hub: Any, tmp_path: Path, real_weights: bytes, name: HubName
) -> None:
    (tmp_path / WEIGHTS).write_bytes(real_weights)
    assert fetch_file(REPOSITORY, WEIGHTS, hub=name, folder=tmp_path) == tmp_path / WEIGHTS
    assert hub.asked == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_in_the_folder_is_named_and_fetched_again(
    hub: Any, tmp_path: Path, real_weights: bytes, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / WEIGHTS
    target.write_bytes({"cut": real_weights[:9000], "flipped": real_weights, "empty": b""}[damage])
    if damage == "flipped":
        flip(target, 9000)
    with caplog.at_level(logging.WARNING, "cnclip"):
        assert fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path).read_bytes() == real_weights
    assert str(target) in caplog.text
    assert len(hub.bodies()) == 1


def test_a_bit_that_only_the_recorded_digest_can_tell_is_noticed(
    hub: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file({"重": torch.zeros(4000)}, tmp_path / "x")
    right = (tmp_path / "x").read_bytes()
    hub.files[REPOSITORY]["model.safetensors"] = right
    path = fetch_file(REPOSITORY, "model.safetensors", folder=tmp_path / "下载")
    flip(path, 9000)
    flipped = path.read_bytes()
    with caplog.at_level(logging.WARNING, "cnclip"):
        assert fetch_file(REPOSITORY, "model.safetensors", folder=tmp_path / "下载").read_bytes() == right
    # whole by its own account: it may be somebody's own weights, and is kept
    assert (tmp_path / "下载" / "model.safetensors.before").read_bytes() == flipped
    assert "model.safetensors.before" in caplog.text


def test_the_digest_that_huggingface_hub_left_in_the_folder_counts(hub: Any, tmp_path: Path) -> None:
    save_file({"重": torch.zeros(4000)}, tmp_path / "x")
    hub.files[REPOSITORY]["model.safetensors"] = (tmp_path / "x").read_bytes()
    hf_hub_download(REPOSITORY, "model.safetensors", local_dir=tmp_path / "d", endpoint=hub.address)
    hub.asked.clear()
    path = fetch_file(REPOSITORY, "model.safetensors", folder=tmp_path / "d")
    assert hub.asked == []
    flip(path, 9000)
    assert (
        fetch_file(REPOSITORY, "model.safetensors", folder=tmp_path / "d").read_bytes()
        == (hub.files[REPOSITORY]["model.safetensors"])
    )


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
@pytest.mark.parametrize("with_folder", [True, False])
def test_offline_uses_what_is_there_and_says_what_is_missing(
    hub: Any, tmp_path: Path, variable: str, name: HubName, with_folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "放这里" if with_folder else None
    path = fetch_file(REPOSITORY, WEIGHTS, hub=name, folder=folder)
    hub.asked.clear()
    monkeypatch.setenv(variable, "1")
    assert fetch_file(REPOSITORY, WEIGHTS, hub=name, folder=folder) == path
    with pytest.raises(ResourceError) as caught:
        fetch_file(REPOSITORY, "config.json", hub=name, folder=folder)
    parts = [
        REPOSITORY,
        "config.json",
        hub.address,
        variable,
        "HF_ENDPOINT",
        *([str(folder)] if folder else []),
    ]
    assert all(part in str(caught.value) for part in parts)
    flip(path, 5)
    with pytest.raises(ResourceError, match="damaged"):
        fetch_file(REPOSITORY, WEIGHTS, hub=name, folder=folder)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_names_that_the_hub_does_not_have(hub: Any, tmp_path: Path, name: HubName) -> None:
    with pytest.raises(UnknownNameError, match=r"has no missing\.pt"):
        fetch_file(REPOSITORY, "missing.pt", hub=name, folder=tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        fetch_file("nobody/nothing", WEIGHTS, hub=name, folder=tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is not None


def test_a_private_repository_asks_for_a_login(hub: Any, tmp_path: Path) -> None:
    hub.forbidden.add(REPOSITORY)
    with pytest.raises(UnknownNameError, match="hf auth login"):
        fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path)


@pytest.mark.parametrize(
    "file",
    ["../x.pt", "/etc/x.pt", "a/../../x.pt", "a\\..\\x.pt", "C:x.pt", "", "a//b", "a\0b", "a\nb", "字" * 99],
)
def test_hostile_file_names_are_refused_before_any_request(hub: Any, tmp_path: Path, file: str) -> None:
    with pytest.raises(RefusedError) as caught:
        fetch_file(REPOSITORY, file, folder=tmp_path)
    assert caught.value.exit_code == 8
    assert hub.asked == []


@pytest.mark.parametrize("repository", ["../x", "a/b/c", "", "a/..", "/a", "https://x/y"])
def test_hostile_repositories_are_refused_before_any_request(hub: Any, repository: str) -> None:
    with pytest.raises(UnknownNameError):
        fetch_file(repository, WEIGHTS)
    assert hub.asked == []


@pytest.mark.parametrize("place", ["a file in the way", "a read-only file system"])
def test_a_folder_that_cannot_be_written_is_exit_code_5(hub: Any, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "sub" if place == "a file in the way" else Path("/proc/cnclip")
    with pytest.raises(ResourceError) as caught:
        fetch_file(REPOSITORY, WEIGHTS, folder=folder)
    assert caught.value.exit_code == 5
    assert str(folder) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_exit_code_5(hub: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ResourceError, match="Permission"):
        fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path)


def test_an_endpoint_that_is_not_https_is_refused_unless_the_user_named_it(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "ftp://example.invalid")
    with pytest.raises(CnclipError, match="https"):
        fetch_file(REPOSITORY, WEIGHTS, hub="modelscope")
