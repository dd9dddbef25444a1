"""The map that grows: nothing is lost or reordered when LMDB runs out of room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnclip.stores.growing import GrowingMap


@pytest.mark.parametrize("commit_bytes", [1, 3000, 10 << 20])
def test_a_map_of_a_few_pages_grows_to_whatever_is_put(tmp_path: Path, commit_bytes: int) -> None:
    rows = {f"{number:05d}".encode(): os.urandom(number % 5000) for number in range(1000)}
    with GrowingMap(tmp_path / "m", first_map_bytes=32 << 10, commit_bytes=commit_bytes) as growing:
        for key, value in rows.items():
            growing.put(key, value, append=True)
        assert growing.get(b"00999") == rows[b"00999"]
        assert dict(growing.sorted_items(b"000")) == {
            key: rows[key] for key in rows if key.startswith(b"000")
        }
        size = growing.close()
    assert size == (tmp_path / "m" / "data.mdb").stat().st_size > sum(map(len, rows.values()))


def test_random_order_and_overwriting_survive_growth(tmp_path: Path) -> None:
    with GrowingMap(tmp_path / "m", first_map_bytes=32 << 10, commit_bytes=20_000) as growing:
        for number in range(3000):
            growing.put(f"{number * 7919 % 1000:04d}".encode(), f"{number}".encode() * 20)
        found = dict(growing.sorted_items(b""))
    assert list(found) == [f"{number:04d}".encode() for number in range(1000)]
    assert found[b"0000"] == b"2000" * 20


def test_bytes_on_disk_do_not_depend_on_where_the_map_began(tmp_path: Path) -> None:
    files = []
    for name, first in (("a", 32 << 10), ("b", 32 << 10)):
        with GrowingMap(tmp_path / name, first_map_bytes=first, commit_bytes=50_000) as growing:
            for number in range(500):
                growing.put(f"{number:04d}".encode(), bytes([number % 251]) * 700, append=True)
            growing.close()
        files.append((tmp_path / name / "data.mdb").read_bytes())
    assert files[0] == files[1]


def test_a_second_close_or_discard_is_harmless(tmp_path: Path) -> None:
    growing = GrowingMap(tmp_path / "m")
    growing.put(b"k", b"v")
    growing.discard()
    growing.discard()
    other = GrowingMap(tmp_path / "n")
    other.close()
    other.discard()
