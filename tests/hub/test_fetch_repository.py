"""Several files of one repository, all of one commit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ArtifactError, ResourceError, UnknownNameError
from cnclip.hub import HubName, fetch_repository

REPOSITORY = "OFA-Sys/chinese-clip-test"


def small_files(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith((".json", ".txt"))]


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
@pytest.mark.parametrize("with_folder", [True, False])
def test_chosen_files_lie_in_one_folder(hub: Any, tmp_path: Path, name: HubName, with_folder: bool) -> None:
    folder = tmp_path / "仓库" if with_folder else None
    seen: list[str] = []

    def choose(names: list[str]) -> list[str]:
        seen.extend(names)
        return small_files(names)

    place = fetch_repository(REPOSITORY, choose=choose, hub=name, folder=folder)
    assert folder is None or place == folder
    assert seen == sorted(hub.files[REPOSITORY])
    for file in ("config.json", "sub/vocab.txt"):
        assert (place / file).read_bytes() == hub.files[REPOSITORY][file]
    assert not (place / "clip_cn_test.pt").exists()
    hub.asked.clear()
    assert fetch_repository(REPOSITORY, choose=small_files, hub=name, folder=folder) == place
    assert hub.bodies() == []


@pytest.mark.parametrize(
    ("name", "with_folder", "why"),
    [
        ("huggingface", True, "offline"),
        ("huggingface", False, "offline"),
        ("huggingface", False, "out of reach"),
        ("modelscope", True, "out of reach"),
        ("modelscope", False, "offline"),
    ],
)
def test_without_the_hub_the_files_on_the_disk_serve(
    hub: Any, tmp_path: Path, name: HubName, with_folder: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "仓库" if with_folder else None
    place = fetch_repository(REPOSITORY, choose=small_files, hub=name, folder=folder)
    if why == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    else:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    assert fetch_repository(REPOSITORY, choose=small_files, hub=name, folder=folder) == place
    if why == "offline":
        with pytest.raises(ResourceError, match="nobody/nothing"):
            fetch_repository("nobody/nothing", choose=small_files, hub=name)
    (place / "config.json").write_bytes(b"{}")
    if name == "huggingface" or with_folder:
        with pytest.raises(ArtifactError, match=r"config\.json|git blob"):
            fetch_repository(REPOSITORY, choose=small_files, hub=name, folder=folder)


def test_a_branch_is_known_offline_though_its_commit_was_fetched_by_number(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fetch_repository(
        REPOSITORY, choose=small_files, revision="0123456789abcdef0123456789abcdef01234567"
    )
    assert fetch_repository(REPOSITORY, choose=small_files) == place
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch_repository(REPOSITORY, choose=small_files) == place


def test_a_newer_commit_is_brought_in(hub: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fetch_repository(REPOSITORY, choose=small_files, folder=tmp_path)
    hub.files[REPOSITORY]["config.json"] = b'{"version": 2}'
    with caplog.at_level(logging.WARNING, "cnclip"):
        fetch_repository(REPOSITORY, choose=small_files, folder=tmp_path)
    assert (tmp_path / "config.json").read_bytes() == b'{"version": 2}'
    assert "config.json" in caplog.text


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_hostile_names_in_the_list_are_never_seen_nor_written(
    hub: Any, tmp_path: Path, name: HubName
) -> None:
    for hostile in ("../out.json", "/tmp/out.json", "a\\b.json", "c:d.json"):
        hub.files[REPOSITORY][hostile] = b"{}"
    fetch_repository(REPOSITORY, choose=small_files, hub=name, folder=tmp_path / "in" / "here")
    written = {path.name for path in (tmp_path / "in" / "here").rglob("*") if ".cache" not in path.parts}
    assert written == {"config.json", "sub", "vocab.txt"}
    assert not list(tmp_path.rglob("out.json")) and not Path("/tmp/out.json").exists()


def test_a_choice_that_the_repository_does_not_have_is_an_error(hub: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"model\.safetensors"):
        fetch_repository(REPOSITORY, choose=lambda names: ["model.safetensors"])
    with pytest.raises(UnknownNameError, match="no file that can be used"):
        fetch_repository(REPOSITORY, choose=lambda names: [])


def test_an_unknown_repository_is_an_unknown_name(hub: Any) -> None:
    with pytest.raises(UnknownNameError, match="nobody/nothing"):
        fetch_repository("nobody/nothing", choose=small_files)
