"""The map that grows: nothing is lost or reordered when LMDB runs out of room."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cnclip.stores.growing import GrowingMap


@pytest.mark.parametrize("commit_bytes", [1, 3000, 10 << 20])
def test_a_map_of_a_few_pages_grows_to_whatever_is_put(tmp_path: Path, commit_bytes: int) -> None:
    rows = {f"{number:05d}".encode(): os.urandom(number * 37 % 5000) for number in range(150)}
    with GrowingMap(tmp_path / "m", first_map_bytes=32 << 10, commit_bytes=commit_bytes) as growing:
        for key, value in rows.items():
            growing.put(key, value, append=True)
        assert growing.get(b"00149") == rows[b"00149"]
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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the pages of a mapped file")
def test_lookups_in_a_large_map_do_not_add_up_to_memory(tmp_path: Path) -> None:
    def resident_kilobytes() -> int:
        blocks = Path("/proc/self/smaps").read_text().split(f"{tmp_path.resolve()}/m/data.mdb\n")[1:]
        return sum(
            int(line.split()[1]) for block in blocks for line in block.splitlines()[:8] if "Rss:" in line
        )

    with GrowingMap(tmp_path / "m") as growing:
        for number in range(20_000):
            growing.put(f"{number:05d}".encode(), b"x" * 400)
        growing.commit()
        peak = 0
        for number in range(20_000):
            assert growing.get(f"{number * 7919 % 20_000:05d}".encode()) is not None
            if number % 631 == 0:  # reading smaps takes as long as a process has memory
                peak = max(peak, resident_kilobytes())
        size = growing.close()
    assert size > 8 << 20
    assert 0 < peak < size // 1024 // 2
