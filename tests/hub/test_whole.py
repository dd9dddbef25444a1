"""Whole files pass, cut and flipped ones are told apart by their digest or by their own account."""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cnclip.errors import ArtifactError, RefusedError, ResourceError
from cnclip.hub import check_whole
from cnclip.stamps import is_stamped


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.save({"state_dict": {"权重": torch.arange(3000.0), "b": torch.ones(7)}}, tmp_path / "clip.pt")
    return tmp_path / "clip.pt"


def test_whole_files_pass_and_are_remembered(archive: Path, tmp_path: Path) -> None:
    save_file(
        {"a": torch.zeros(5), "b": torch.zeros(0)}, tmp_path / "a.safetensors", metadata={"format": "pt"}
    )
    save_file({}, tmp_path / "空.safetensors")
    torch.save({"a": torch.zeros(5)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    for path in (archive, tmp_path / "a.safetensors", tmp_path / "空.safetensors", tmp_path / "legacy.pt"):
        check_whole(path)
        check_whole(path)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert not is_stamped(archive, sha256)
    check_whole(archive, sha256=sha256, size=archive.stat().st_size)
    assert is_stamped(archive, sha256)


def test_every_flip_in_a_tensor_of_an_archive_is_found(archive: Path) -> None:
    content, places = archive.read_bytes(), random.Random(5)
    check_whole(archive)
    with zipfile.ZipFile(archive) as opened:
        spans = []
        for member in opened.infolist():
            with opened.open(member) as stream:
                start = stream._orig_compress_start  # type: ignore[attr-defined]
            spans.append((start, member.file_size))
    for _ in range(60):
        start, length = places.choice([span for span in spans if span[1] > 0])
        flipped = bytearray(content)
        flipped[start + places.randrange(length)] ^= 1 << places.randrange(8)
        archive.write_bytes(flipped)
        with pytest.raises(ArtifactError, match=r"clip\.pt"):
            check_whole(archive)


@pytest.mark.parametrize("part", ["first", "last"])
def test_flips_anywhere_in_an_archive_are_found_or_harmless(archive: Path, part: str) -> None:
    # the last part holds the directory: one flipped attribute there, and torch returns unfilled memory
    content, places = archive.read_bytes(), random.Random(6)
    right = torch.load(archive, weights_only=True)["state_dict"]
    start, end = (0, len(content)) if part == "first" else (content.index(b"PK\1\2"), len(content))
    found = 0
    for _ in range(150):
        flipped = bytearray(content)
        flipped[places.randrange(start, end)] ^= 1 << places.randrange(8)
        archive.write_bytes(flipped)
        try:
            check_whole(archive)
        except (ArtifactError, RefusedError):
            found += 1
            continue
        loaded = torch.load(archive, weights_only=True)["state_dict"]
        assert all(torch.equal(loaded[name], right[name]) for name in right)
    assert found > 100


@pytest.mark.parametrize("name", ["clip.pt", "model.safetensors"])
def test_every_cut_is_found(archive: Path, tmp_path: Path, name: str) -> None:
    save_file({"a": torch.arange(2000.0)}, tmp_path / "model.safetensors")
    content, places = (tmp_path / name).read_bytes(), random.Random(9)
    for length in [
        0,
        1,
        7,
        8,
        9,
        100,
        len(content) - 1,
        *(places.randrange(len(content)) for _ in range(20)),
    ]:
        (tmp_path / name).write_bytes(content[:length])
        if (
            length > 1 or name == "model.safetensors" or length == 0
        ):  # one byte may be the start of a legacy file
            with pytest.raises(ArtifactError):
                check_whole(tmp_path / name)


def test_every_flip_is_found_where_the_digest_is_known(tmp_path: Path) -> None:
    save_file({"a": torch.arange(2000.0)}, tmp_path / "m.safetensors")
    content, places = (tmp_path / "m.safetensors").read_bytes(), random.Random(9)
    sha256 = hashlib.sha256(content).hexdigest()
    for _ in range(20):
        flipped = bytearray(content)
        flipped[places.randrange(len(content))] ^= 1
        (tmp_path / "m.safetensors").write_bytes(flipped)
        with pytest.raises(ArtifactError, match=sha256):
            check_whole(tmp_path / "m.safetensors", sha256=sha256)


def test_a_file_that_was_whole_and_then_changed_is_checked_again(archive: Path) -> None:
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    check_whole(archive, sha256=sha256)
    content = bytearray(archive.read_bytes())
    content[2000] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ArtifactError):
        check_whole(archive, sha256=sha256)


def test_another_size_is_found_without_reading(archive: Path) -> None:
    with pytest.raises(ArtifactError, match="in place of 12"):
        check_whole(archive, size=12)


def test_an_archive_without_checksums_passes(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.arange(50.0)}, tmp_path / "plain.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    check_whole(tmp_path / "plain.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "LFS pointer"),
        (b"", "empty"),
    ],
)
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "pytorch_model.bin"])
def test_what_is_no_weight_file_is_called_by_its_name(
    tmp_path: Path, content: bytes, said: str, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=said):
        check_whole(tmp_path / name)


@pytest.mark.parametrize("length", [2**40, 2**63, 90, 0])
def test_a_safetensors_header_that_lies_is_found(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"a": {"data_offsets": [0, 99999]}}' + bytes(64))
    with pytest.raises(ArtifactError):
        check_whole(path)


@pytest.mark.parametrize(
    "header", [[], {"a": 3}, {"a": {"data_offsets": []}}, {"a": {"data_offsets": ["x", "y"]}}]
)
def test_a_safetensors_header_of_another_form_is_found(tmp_path: Path, header: object) -> None:
    path = tmp_path / "m.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ArtifactError):
        check_whole(path)


def test_an_archive_that_expands_a_thousandfold_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data/0", bytes(30_000_000))
    with pytest.raises(RefusedError) as caught:
        check_whole(tmp_path / "bomb.pt")
    assert caught.value.exit_code == 8


def test_a_file_that_is_not_there_is_a_resource_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"no\.pt"):
        check_whole(tmp_path / "no.pt")
