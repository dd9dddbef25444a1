"""Pairs, captions of a picture, numbers of captions; stores of the first format; ids by their keys."""

from __future__ import annotations

import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import StoreError
from cnclip.stores import environments
from cnclip.stores.layout import IMAGE_ID, TEXT_ID, group_number, id_key
from cnclip.stores.reader import StoreReader


def flip(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 4
    file.write_bytes(bytes(data))


def test_links_are_read_one_by_one_as_they_are_whole(animal_store: Path, open_store: Any) -> None:
    store = open_store(animal_store)
    pairs = [store.pair_at(index) for index in range(7)]
    assert pairs == list(zip(store.pair_images.tolist(), store.pair_texts.tolist(), strict=True))
    assert [store.texts_of(index).tolist() for index in range(4)] == [[0, 2], [1, 2], [1, 2], [4]]
    assert [store.caption_group(index) for index in range(5)] == [group_number(c) for c in store.captions()]
    assert store.caption_groups(1, 3).tolist() == [store.caption_group(1), store.caption_group(2)]
    with pytest.raises(ValueError, match="read-only"):
        store.texts_of(0)[0] = 1


@pytest.mark.parametrize("name", ["pair_images.i64", "caption_groups.i64", "image_texts.i64", "arrays.crc"])
def test_damage_of_an_array_is_named_when_it_is_touched(
    animal_store: Path, name: str, open_store: Any
) -> None:
    flip(animal_store / name, 2)
    store = open_store(animal_store)
    assert store.image(0).image_id == "11"
    with pytest.raises(StoreError, match=name):
        (store.pair_at(0), store.texts_of(0), store.caption_group(0))
    with pytest.raises(StoreError, match=name):
        store.verify()


def test_a_store_of_the_first_format_still_reads(
    tmp_path: Path, animal_store: Path, raw: Any, open_store: Any
) -> None:
    with tarfile.open(Path(__file__).with_name("format_1_store.tar.xz")) as archive:
        archive.extractall(tmp_path / "alt")
    old, new = open_store(tmp_path / "alt" / "store"), open_store(animal_store)
    assert old.header.arrays is None
    assert [old.image(index) for index in range(4)] == [new.image(index) for index in range(4)]
    assert [old.pair(index) for index in range(7)] == [new.pair(index) for index in range(7)]
    assert (old.text(5).caption, old.pair_at(7)) == ("一只猫", (2, 5))
    assert [old.texts_of(index).tolist() for index in range(4)] == [[0, 2], [1, 2], [1, 2, 5], [4]]
    assert old.caption_group(0) == old.caption_group(5) == new.caption_group(0)
    assert old.image_index("14") == 3 and len(list(old.id_keys(TEXT_ID))) == 6
    old.verify()
    flip(tmp_path / "alt" / "store" / "pair_images.i64", 0)
    with pytest.raises(StoreError, match=r"pair_images\.i64 is damaged"):
        open_store(tmp_path / "alt" / "store").pair(0)


def test_ids_come_sorted_by_their_hash_across_shards(sharded_store: Path, open_store: Any) -> None:
    store = open_store(sharded_store)
    for kind, ids in ((IMAGE_ID, store.image_ids()), (TEXT_ID, store.text_ids())):
        expected = sorted((id_key(kind, name), index) for index, name in enumerate(ids))
        assert list(store.id_keys(kind)) == expected


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_fifty_epochs_leave_the_memory_as_it_was(sharded_store: Path, open_store: Any) -> None:
    store = open_store(sharded_store)
    anonymous = []
    for epoch in range(50):
        for index in range(store.pair_count):
            store.pair(index)
            store.texts_of(index % store.image_count)
        if epoch in (4, 49):
            (line,) = (
                line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line
            )
            anonymous.append(int(line.split()[1]))
    assert anonymous[1] - anonymous[0] < 2000, "KiB; 1 800 pictures of 5 KB were read between the two"


def test_a_store_of_more_files_than_may_be_open_reads_all_of_them(
    sharded_store: Path, open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(sharded_store)
    expected = [store.pair(index) for index in range(store.pair_count)]
    store.close()
    before = len(environments._open_files)
    monkeypatch.setattr(environments, "_most_open", lambda: before + 2)
    order = list(range(store.pair_count))
    random.Random(0).shuffle(order)
    for index in order:
        assert store.pair(index) == expected[index]
        assert len(environments._open_files) <= before + 2
    assert len(list(store.id_keys(TEXT_ID))) == 40
    assert len(store._records.files) == 7


def test_opening_reads_no_array(animal_store: Path, open_store: Any) -> None:
    for name in ("pair_images.i64", "pair_texts.i64", "image_starts.i64", "arrays.crc"):
        flip(animal_store / name, 1)
    store = open_store(animal_store)
    assert (store.text(0).caption, store.pair_count) == ("一只猫", 7)


def test_an_unfinished_build_says_how_to_finish_it(tmp_path: Path) -> None:
    (tmp_path / "店.incomplete").mkdir()
    for name in ("店", "店.incomplete"):
        with pytest.raises(StoreError, match=r"not finished.*\n.*\n  fix: wait for it, or run the same"):
            StoreReader(tmp_path / name)
