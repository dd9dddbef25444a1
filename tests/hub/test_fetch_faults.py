"""A download from a hub that cuts, lies and stalls: the right bytes or an error, never a wrong file."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ArtifactError, RefusedError, ResourceError
from cnclip.hub import HubName, check_whole, fetch_file
from cnclip.hub import huggingface as hugging_face
from cnclip.hub.transfer import Patience, RemoteFile, download
from cnclip.hub.web import TransientTrouble
from cnclip.stamps import is_stamped

REPOSITORY, WEIGHTS = "OFA-Sys/chinese-clip-test", "clip_cn_test.pt"
QUICK = Patience(tries=3, first_wait_seconds=0.01)
HUBS: list[HubName] = ["huggingface", "modelscope"]
FAULTS = [
    "",
    "cut",
    "wrong",
    "416",
    "429",
    "503",
    "html",
    "redirect",
    "chunked",
    "chunked cut",
    "chunked too long",
]


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("fault", FAULTS)
def test_right_bytes_arrive_after_a_fault(hub: Any, tmp_path: Path, name: HubName, fault: str) -> None:
    hub.faults = [fault] if fault else []
    path = fetch_file(REPOSITORY, WEIGHTS, hub=name, folder=tmp_path / "权重")
    assert path == tmp_path / "权重" / WEIGHTS
    assert path.read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert not list(path.parent.glob("*.part*"))
    assert not list(path.parent.glob(".*.lock"))


@pytest.mark.parametrize("name", HUBS)
def test_a_stalled_connection_is_left_and_resumed(
    hub: Any, tmp_path: Path, name: HubName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.faults = ["stall"]
    path = fetch_file(REPOSITORY, WEIGHTS, hub=name, folder=tmp_path)
    assert path.read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert "Range" in hub.bodies()[-1].headers


def test_many_cuts_are_resumed_where_they_were(hub: Any, tmp_path: Path) -> None:
    remote = hugging_face.describe(REPOSITORY, WEIGHTS, "main")
    hub.faults = ["cut", "503", "cut", "html", "cut"]
    download(remote, tmp_path / WEIGHTS, patience=Patience(tries=6, first_wait_seconds=0.01))
    assert (tmp_path / WEIGHTS).read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    starts = [int(ask.headers.get("Range", "bytes=0-")[6:-1]) for ask in hub.bodies()]
    assert starts == sorted(starts)
    assert starts[-1] > 0


def test_wrong_bytes_twice_are_an_error_with_both_hashes(hub: Any, tmp_path: Path) -> None:
    hub.promised[WEIGHTS] = "ab" * 32
    with pytest.raises(ArtifactError) as caught:
        fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path)
    assert "ab" * 32 in str(caught.value)
    assert hub.sha256(REPOSITORY, WEIGHTS) in str(caught.value)
    assert caught.value.exit_code == 4
    assert len(hub.bodies()) == 2
    assert [path.name for path in tmp_path.glob("*.p*t*")] == []


def test_a_file_that_is_written_to_after_hashing_is_not_remembered_as_good(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = hugging_face.describe(REPOSITORY, WEIGHTS, "main")
    assert remote.digest is not None
    download(remote, tmp_path / "right.pt")
    assert is_stamped(tmp_path / "right.pt", remote.digest)
    rename = os.replace

    def rename_and_write(source: Path, target: Path) -> None:
        rename(source, target)
        if Path(target) == tmp_path / WEIGHTS:
            time.sleep(0.02)  # the clock of a file system ticks every 10 ms at most
            with open(target, "r+b") as file:
                file.write(b"another")

    monkeypatch.setattr(os, "replace", rename_and_write)
    download(remote, tmp_path / WEIGHTS)
    assert not is_stamped(tmp_path / WEIGHTS, remote.digest)
    with pytest.raises(ArtifactError):
        check_whole(tmp_path / WEIGHTS, sha256=remote.digest)


def test_wrong_bytes_of_a_small_git_file_are_noticed(hub: Any, tmp_path: Path) -> None:
    hub.promised["config.json"] = "ab" * 20
    with pytest.raises(ArtifactError, match="git blob sha1"):
        fetch_file(REPOSITORY, "config.json", folder=tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_a_proxy_that_names_small_files_by_their_plain_sha1_is_believed(hub: Any, tmp_path: Path) -> None:
    content = hub.files[REPOSITORY]["config.json"]
    hub.promised["config.json"] = hashlib.sha1(content).hexdigest()
    assert fetch_file(REPOSITORY, "config.json", folder=tmp_path).read_bytes() == content


def test_what_came_before_an_outage_is_kept_for_the_next_run(hub: Any, tmp_path: Path) -> None:
    remote = hugging_face.describe(REPOSITORY, WEIGHTS, "main")
    hub.faults, hub.always = ["cut"], "503"
    with pytest.raises(TransientTrouble, match=r"503.*are kept"):
        download(remote, tmp_path / WEIGHTS, patience=QUICK)
    assert not (tmp_path / WEIGHTS).exists()
    (part,) = tmp_path.glob("*.part")
    assert part.read_bytes() == hub.files[REPOSITORY][WEIGHTS][: part.stat().st_size]
    hub.always = ""
    download(remote, tmp_path / WEIGHTS, patience=QUICK)
    assert hub.bodies()[-1].headers["Range"].startswith("bytes=")
    assert (tmp_path / WEIGHTS).read_bytes() == hub.files[REPOSITORY][WEIGHTS]


def test_no_answer_at_all_is_exit_code_5_with_all_that_helps(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError) as caught:
        fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path / "手动")
    text = str(caught.value)
    for part in (REPOSITORY, WEIGHTS, "http://127.0.0.1:9", str(tmp_path / "手动"), "HF_ENDPOINT"):
        assert part in text
    assert caught.value.exit_code == 5
    assert caught.value.__cause__ is not None


def test_a_server_that_asks_for_an_hour_is_given_up_at_once(hub: Any, tmp_path: Path) -> None:
    hub.always, hub.retry_after = "429", "3600"
    with pytest.raises(ResourceError, match="asks to wait 3600 s"):
        fetch_file(REPOSITORY, WEIGHTS, hub="modelscope", folder=tmp_path)
    assert len(hub.bodies()) == 1


def test_a_web_page_is_never_saved_as_weights(hub: Any, tmp_path: Path) -> None:
    hub.always = "html"
    remote = hugging_face.describe(REPOSITORY, WEIGHTS, "main")
    with pytest.raises(TransientTrouble, match="web page"):
        download(remote, tmp_path / WEIGHTS, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_without_a_digest_a_part_is_continued_only_if_the_server_says_it_is_the_same(
    hub: Any, tmp_path: Path
) -> None:
    address = f"{hub.address}/models/{REPOSITORY}/resolve/master/{WEIGHTS}"
    remote = RemoteFile(REPOSITORY, WEIGHTS, address=address, origin=hub.address, revision="master")
    hub.faults = ["cut"]
    download(remote, tmp_path / WEIGHTS, patience=QUICK)
    assert hub.bodies()[-1].headers["If-Range"] == '"v1"'
    assert (tmp_path / WEIGHTS).read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS]


def test_a_part_of_another_version_is_not_continued(hub: Any, tmp_path: Path) -> None:
    other = hashlib.sha256(b"another version").hexdigest()
    (tmp_path / f"{WEIGHTS}.{other[:12]}.part").write_bytes(b"another version")
    path = fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path)
    assert path.read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert "Range" not in hub.bodies()[0].headers


def test_a_part_that_is_longer_than_the_file_is_begun_anew(hub: Any, tmp_path: Path) -> None:
    sha256 = hub.sha256(REPOSITORY, WEIGHTS)
    (tmp_path / f"{WEIGHTS}.{sha256[:12]}.part").write_bytes(bytes(300_001))
    assert fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path).read_bytes() == hub.files[REPOSITORY][WEIGHTS]


def test_a_token_goes_to_the_hub_and_not_where_it_redirects(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path)
    resolved = [ask for ask in hub.asked if "/resolve/" in ask.path]
    assert all(ask.headers.get("Authorization") == "Bearer hf_secret" for ask in resolved)
    assert all("Authorization" not in ask.headers for ask in hub.bodies())


def test_a_redirect_away_from_https_is_refused(hub: Any, tmp_path: Path) -> None:
    hub.redirect_to = "http://weights.example.invalid/clip.pt"
    with pytest.raises(RefusedError, match="https") as caught:
        fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path)
    assert caught.value.exit_code == 8
    assert not (tmp_path / WEIGHTS).exists()
