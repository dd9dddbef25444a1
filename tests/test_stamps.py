"""A stamp speaks of one unchanged file only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnclip.stamps import is_stamped, stamp

SHA256 = "ab" * 32


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "缓存"))
    path = tmp_path / "权重.pt"
    path.write_bytes(b"12345678")
    return path


def test_a_stamp_is_remembered_under_every_name_of_the_file(file: Path, tmp_path: Path) -> None:
    assert not is_stamped(file, SHA256)
    stamp(file, SHA256)
    (tmp_path / "link.pt").symlink_to(file)
    assert is_stamped(file, SHA256)
    assert is_stamped(tmp_path / "link.pt", SHA256)
    assert not is_stamped(file, "cd" * 32)


def test_several_verdicts_of_one_file_are_kept(file: Path) -> None:
    for word in ("a", "b", "c"):
        stamp(file, word)
    assert all(is_stamped(file, word) for word in ("a", "b", "c"))


def test_any_change_ends_the_stamp_even_with_the_old_size_and_time(file: Path) -> None:
    before = file.stat()
    stamp(file, SHA256)
    file.write_bytes(b"87654321")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_stamped(file, SHA256)
    stamp(file, "later")
    assert is_stamped(file, "later")
    assert not is_stamped(file, SHA256)


def test_another_file_of_that_name_has_no_stamp(file: Path, tmp_path: Path) -> None:
    stamp(file, SHA256)
    (tmp_path / "other").write_bytes(b"12345678")
    os.replace(tmp_path / "other", file)
    assert not is_stamped(file, SHA256)


def test_a_file_that_changed_while_it_was_read_is_not_stamped(file: Path) -> None:
    seen = file.stat()
    file.write_bytes(b"changed")
    stamp(file, SHA256, seen=seen)
    assert not is_stamped(file, SHA256)


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"file": 3}', b"\xff"])
def test_a_damaged_note_counts_for_nothing_and_is_replaced(file: Path, tmp_path: Path, note: bytes) -> None:
    stamp(file, SHA256)
    (kept,) = (tmp_path / "缓存" / "cnclip" / "stamps").iterdir()
    kept.write_bytes(note)
    assert not is_stamped(file, SHA256)
    stamp(file, SHA256)
    assert is_stamped(file, SHA256)


def test_a_cache_that_cannot_be_written_is_no_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    stamp(file, SHA256)
    assert not is_stamped(file, SHA256)


def test_a_missing_file_is_not_stamped(tmp_path: Path, file: Path) -> None:
    stamp(tmp_path / "no", SHA256)
    assert not is_stamped(tmp_path / "no", SHA256)
