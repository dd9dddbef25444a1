"""The arrays of a store: made by hand, compared with numpy, checked block by block."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.errors import StoreError
from cnclip.stores import arrays
from cnclip.stores.arrays import ARRAY_NAMES, BLOCK, CheckedArray, open_arrays, seal_arrays
from cnclip.stores.layout import ArraySeal, group_number
from cnclip.stores.payload_sum import payload_sum

PAIR_IMAGES, PAIR_TEXTS, GROUPS, STARTS, IMAGE_TEXTS = ARRAY_NAMES


def write(folder: Path, name: str, values: npt.ArrayLike) -> None:
    (folder / name).write_bytes(np.asarray(values, dtype="<i8").tobytes())


def sealed(folder: Path, pair_images: npt.ArrayLike, images: int) -> ArraySeal:
    """The arrays of a store with a caption for each pair."""
    pairs = len(np.asarray(pair_images))
    write(folder, PAIR_IMAGES, pair_images)
    write(folder, PAIR_TEXTS, np.arange(pairs))
    write(folder, GROUPS, np.arange(pairs) * 7 - 3)
    return seal_arrays(folder, images=images, texts=pairs, pairs=pairs)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def test_captions_are_sorted_by_picture_as_worked_by_hand(tmp_path: Path) -> None:
    # pairs: caption 0 has pictures 2 and 0, caption 1 has 2, caption 2 has none, caption 3 has 0, 2 and 3
    write(tmp_path, PAIR_IMAGES, [2, 0, 2, 0, 2, 3])
    write(tmp_path, PAIR_TEXTS, [0, 0, 1, 3, 3, 3])
    write(tmp_path, GROUPS, [5, -5, 5, 9])
    seal = seal_arrays(tmp_path, images=5, texts=4, pairs=6)
    assert seal.counts == dict(zip(ARRAY_NAMES, (6, 6, 4, 6, 6), strict=True))
    opened = open_arrays(tmp_path, seal)
    assert opened[STARTS].whole().tolist() == [0, 2, 2, 5, 6, 6]
    assert opened[IMAGE_TEXTS].whole().tolist() == [0, 3, 0, 1, 3, 3]
    assert [opened[GROUPS].value(index) for index in range(4)] == [5, -5, 5, 9]
    sums = np.frombuffer((tmp_path / "arrays.crc").read_bytes(), dtype="<u4")
    assert sums.tolist() == [zlib.crc32((tmp_path / name).read_bytes()) for name in ARRAY_NAMES]


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_the_sort_agrees_with_numpy_whatever_it_takes_at_a_time(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_SORT_VALUES", size)
    monkeypatch.setattr(arrays, "_HELD_VALUES", 2 * size)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1)))))
    def agrees(drawn: tuple[int, list[int]]) -> None:
        images, pair_images = drawn
        with tempfile.TemporaryDirectory() as name:
            opened = open_arrays(Path(name), sealed(Path(name), pair_images, images))
            order = np.argsort(np.asarray(pair_images, dtype=np.int64), kind="stable")
            assert opened[IMAGE_TEXTS].whole().tolist() == order.tolist()
            counts = np.bincount(np.asarray(pair_images, dtype=np.int64), minlength=images)
            assert opened[STARTS].whole().tolist() == [0, *np.cumsum(counts).tolist()]

    agrees()


def test_a_store_without_pairs_or_captions_has_empty_arrays(tmp_path: Path) -> None:
    opened = open_arrays(tmp_path, sealed(tmp_path, [], images=2))
    assert opened[STARTS].whole().tolist() == [0, 0, 0]
    for name in (PAIR_IMAGES, PAIR_TEXTS, GROUPS, IMAGE_TEXTS):
        assert opened[name].whole().shape == (0,) and list(opened[name].pieces()) == []


def test_damage_is_named_by_file_and_block_and_other_blocks_still_read(tmp_path: Path) -> None:
    count = 2 * BLOCK + 5
    seal = sealed(tmp_path, np.arange(count), images=count)
    flip(tmp_path / PAIR_IMAGES, 8 * BLOCK + 3)
    array = open_arrays(tmp_path, seal)[PAIR_IMAGES]
    assert array.value(BLOCK - 1) == BLOCK - 1
    assert array.values(2 * BLOCK, count).tolist() == list(range(2 * BLOCK, count))
    message = rf"pair_images\.i64 is damaged in block 1 \(values {BLOCK} to {2 * BLOCK - 1}\)"
    with pytest.raises(StoreError, match=message):
        array.value(BLOCK)
    with pytest.raises(StoreError, match=message):
        array.whole()
    with pytest.raises(StoreError, match=message):
        list(array.pieces(100))


@pytest.mark.parametrize("change", ["flip", "cut", "remove"])
def test_damage_of_the_checksums_is_found(tmp_path: Path, change: str) -> None:
    seal, sums = sealed(tmp_path, [0, 1], images=2), tmp_path / "arrays.crc"
    if change == "flip":
        flip(sums, 9)
    elif change == "cut":
        sums.write_bytes(sums.read_bytes()[:-4])
    else:
        sums.unlink()
    with pytest.raises(StoreError, match=r"arrays\.crc"):
        open_arrays(tmp_path, seal)


def test_a_file_cut_short_after_opening_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    seal = sealed(tmp_path, np.arange(BLOCK), images=BLOCK)
    array = open_arrays(tmp_path, seal)[PAIR_TEXTS]
    with open(tmp_path / PAIR_TEXTS, "r+b") as file:
        file.truncate(100)
    with pytest.raises(StoreError, match=r"pair_texts\.i64 has 100 bytes, not 65536"):
        array.value(0)


def test_only_touched_blocks_are_checked(tmp_path: Path) -> None:
    count = 20 * BLOCK
    array = open_arrays(tmp_path, sealed(tmp_path, np.arange(count), images=count))[PAIR_IMAGES]
    array.value(3 * BLOCK)
    array.values(7 * BLOCK - 1, 8 * BLOCK)
    assert [block for block in range(20) if array._checked[block >> 3] >> (block & 7) & 1] == [3, 6, 7]


def test_views_are_read_only_and_outlive_their_array(tmp_path: Path) -> None:
    array = open_arrays(tmp_path, sealed(tmp_path, [4, 2, 0], images=5))[PAIR_IMAGES]
    values = array.whole()
    assert isinstance(array, CheckedArray) and values.dtype == np.int64 and not values.flags.writeable
    del array
    assert values.tolist() == [4, 2, 0]


def test_equal_captions_have_equal_numbers_that_fit_the_arrays() -> None:
    captions = ["一只猫", "１２３", "", "🐼𠮷", "a\ud800"]
    numbers = [group_number(caption) for caption in captions]
    assert numbers == [group_number(caption) for caption in captions] and len(set(numbers)) == 5
    assert np.asarray(numbers, dtype="<i8").tolist() == numbers
    assert group_number("一只猫") == ONE_CAT


ONE_CAT = int.from_bytes(bytes.fromhex("ffd256a0eda6fa04"), "little", signed=True)  # b2sum -l 64


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_picture_s_checksum_finds_what_disks_do(data: Any) -> None:
    payload = data.draw(st.binary(min_size=1, max_size=3 * 4096))
    expected = payload_sum(payload)
    assert payload_sum(bytes(payload)) == expected
    place = data.draw(st.integers(0, 8 * len(payload) - 1))
    changed = bytearray(payload)
    changed[place >> 3] ^= 1 << (place & 7)
    assert payload_sum(bytes(changed)) != expected
    assert payload_sum(payload[:-1]) != expected and payload_sum(payload + b"\0") != expected


def test_a_picture_s_checksum_notices_pages_that_trade_places_and_zeros() -> None:
    payload = np.random.default_rng(0).bytes(5 * 4096 + 77)
    swapped = payload[4096:8192] + payload[:4096] + payload[8192:]
    zeroed = payload[:4096] + bytes(512) + payload[4608:]
    assert len({payload_sum(payload), payload_sum(swapped), payload_sum(zeroed)}) == 3
    assert json.loads(json.dumps(payload_sum(payload))) < 1 << 32


@pytest.mark.parametrize("mapped_values", [0, 1 << 20])
def test_large_files_that_are_read_and_small_ones_that_are_mapped_say_the_same(
    mapped_values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_MAPPED_VALUES", mapped_values)
    count = BLOCK + 9
    seal = sealed(tmp_path, np.arange(count)[::-1], images=count)
    opened = open_arrays(tmp_path, seal)
    array = opened[GROUPS]
    assert [array.value(index) for index in (0, 1, BLOCK, count - 1)] == [
        -3,
        4,
        7 * BLOCK - 3,
        7 * count - 10,
    ]
    assert array.values(BLOCK - 1, BLOCK + 2).tolist() == [
        7 * index - 3 for index in range(BLOCK - 1, BLOCK + 2)
    ]
    assert np.array_equal(np.concatenate(list(array.pieces(1000))), array.whole())
    assert opened[IMAGE_TEXTS].whole().tolist() == list(range(count))[::-1]
    assert (array._mapped is None) == (mapped_values == 0)


SORT_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from cnclip.stores.arrays import seal_arrays
folder, pairs, more = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
for name in ("pair_images", "pair_texts", "caption_groups"):
    with open(folder / f"{name}.i64", "wb") as file:
        for first in range(0, pairs, 100_000):
            file.write(rng.integers(0, pairs, 100_000).tobytes())
(data,) = (line for line in open("/proc/self/status") if line.startswith("VmData"))
limit = int(data.split()[1]) * 1024 + more
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
print(seal_arrays(folder, images=pairs, texts=pairs, pairs=pairs).crc)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("pairs", [2_000_000, pytest.param(20_000_000, marks=pytest.mark.nightly)])
def test_the_sort_wants_the_same_little_memory_for_any_size(tmp_path: Path, pairs: int) -> None:
    words = [sys.executable, "-c", SORT_IN_LITTLE_MEMORY, str(tmp_path), str(pairs), str(12 << 20)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # an array of 2 000 000 values has 16 MB
