"""A folder goes to the hub as one commit, and refusals say what to do."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import CnclipError, ResourceError, UnknownNameError
from cnclip.hub import push_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "模型"
    (place / ".cache" / "cnclip").mkdir(parents=True)
    (place / ".cache" / "cnclip" / "x.json").write_text("{}")
    (place / "README.md").write_text("# 中文模型\n", encoding="utf-8")
    (place / "sub").mkdir()
    (place / "sub" / "architecture.json").write_text("{}")
    (place / "w.pt.0123.part").write_bytes(b"half")
    return place


def test_a_folder_becomes_one_commit(hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    address = push_folder(folder, "me/m", private=True, message="第一次")
    assert address.startswith(hub.address)
    made, header, *files = hub.pushed
    assert (made["name"], made["organization"]) == ("m", "me")
    assert made.get("private") is True or made.get("visibility") == "private"
    assert header["value"]["summary"] == "第一次"
    sent = {file["value"]["path"]: base64.b64decode(file["value"]["content"]) for file in files}
    assert set(sent) == {"README.md", "sub/architecture.json"}
    assert sent["README.md"] == "# 中文模型\n".encode()


@pytest.mark.parametrize(
    ("token", "kind", "said"),
    [
        (None, ResourceError, "hf auth login"),
        ("wrong", ResourceError, "hf auth login"),
        ("reader", ResourceError, "right"),
    ],
)
def test_a_refused_push_says_what_to_do(
    hub: Any,
    folder: Path,
    token: str | None,
    kind: type[CnclipError],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(kind, match=said) as caught:
        push_folder(folder, "me/m", private=False, message="x")
    assert caught.value.where == f"{hub.address}/me/m"
    assert hub.pushed == []


def test_offline_and_wrong_folders_are_said_before_any_request(
    hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownNameError, match="no such folder"):
        push_folder(folder / "missing", "me/m", private=False, message="x")
    with pytest.raises(UnknownNameError, match="owner/name"):
        push_folder(folder, "../m", private=False, message="x")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ResourceError, match="HF_HUB_OFFLINE"):
        push_folder(folder, "me/m", private=False, message="x")
    assert hub.asked == []
