"""Reading a store: the same rows by every road, from every process; damage is named, never read."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import shutil
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnclip.artifacts import read_json, read_manifest, write_manifest
from cnclip.errors import StoreError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store


def test_rows_come_back_as_they_went_in(animal_store: Path, raw: Any, open_store: Any) -> None:
    store = open_store(animal_store)
    assert (store.image_count, store.text_count, store.pair_count) == (4, 5, 7)
    assert list(store.image_ids()) == ["11", "12", "13", "14"]
    assert list(store.text_ids()) == ["1", "2", "3", "4", "5"]
    assert list(store.captions()) == [
        "一只猫",
        "两只狗在草地上",
        "猫和狗",
        "没有图片的查询",
        "１２３，“全角”與繁體🐼𠮷",
    ]
    assert [store.image(index).image for index in range(4)] == [
        raw.draw(number) for number in (11, 12, 13, 14)
    ]
    assert store.image(0).where == "train_imgs.tsv:1"
    assert store.text(2).image_ids == ("11", "12", "13")
    assert store.text(3).image_ids == ()
    assert store.header.unlabelled_texts == 1


def test_pairs_go_by_caption_then_by_picture(animal_store: Path, raw: Any, open_store: Any) -> None:
    store = open_store(animal_store)
    assert store.pair_texts.tolist() == [0, 1, 1, 2, 2, 2, 4]
    assert store.pair_images.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert store.pair_images.dtype == store.pair_texts.dtype == np.int64
    assert not store.pair_images.flags.writeable
    pair = store.pair(4)
    assert (pair.image_id, pair.image, pair.text_id, pair.caption) == ("12", raw.draw(12), "3", "猫和狗")


def test_ids_lead_to_indices(animal_store: Path, open_store: Any) -> None:
    store = open_store(animal_store)
    assert [store.image_index(image_id) for image_id in store.image_ids()] == [0, 1, 2, 3]
    assert [store.text_index(text_id) for text_id in store.text_ids()] == [0, 1, 2, 3, 4]
    assert store.image_id(3) == "14"
    for unknown in ("", "1", "图" * 5000):
        with pytest.raises(KeyError):
            store.image_index(unknown)


def test_indices_out_of_range_are_index_errors(animal_store: Path, open_store: Any) -> None:
    store = open_store(animal_store)
    reads = [(store.image, 4), (store.text, 5), (store.pair, 7), (store.image_id, 4)]
    reads += [(store.pair_at, 7), (store.texts_of, 4), (store.caption_group, 5)]
    for read, count in reads:
        for index in (-1, count):
            with pytest.raises(IndexError):
                read(index)


def test_ids_that_would_break_a_key_are_ordinary(tmp_path: Path, raw: Any, open_store: Any) -> None:
    ids = ["num_images", "图" * 40_000, "i\x01", "🐼", "a/../b", " x "]
    images = [(image_id, raw.draw(number)) for number, image_id in enumerate(ids)]
    texts = [raw.text_row(image_id, "句", [image_id]) for image_id in ids]
    build_store(read_source(raw.write_cn_clip(tmp_path / "d", images, texts)), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert [store.image(store.image_index(image_id)).image for image_id in ids] == [
        data for _, data in images
    ]
    assert [store.text(store.text_index(image_id)).image_ids for image_id in ids] == [(name,) for name in ids]


def test_ids_are_read_without_the_pictures_bytes(tmp_path: Path, raw: Any, open_store: Any) -> None:
    size = 4 << 20
    images = [(number, raw.draw(number) + bytes([number]) * size) for number in range(3)]
    folder = raw.write_cn_clip(tmp_path / "d", images, [raw.text_row(1, "句", [1])])
    build_store(read_source(folder), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert list(store.image_ids()) == ["0", "1", "2"]
    tracemalloc.start()
    try:
        assert (list(store.image_ids()), store.image_index("2")) == (["0", "1", "2"], 2)
        without = tracemalloc.get_traced_memory()[1]
        assert store.image(2).image == images[2][1]
        with_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert without < size // 10 < size < with_bytes


def test_a_sharded_store_reads_like_a_whole_one(sharded_store: Path, raw: Any, open_store: Any) -> None:
    store = open_store(sharded_store)
    assert [shard.images for shard in store.header.shards] == [3, 3, 3, 3, 3, 3, 2]
    assert [(sharded_store / shard.name / "data.mdb").is_file() for shard in store.header.shards] == [
        True
    ] * 7
    order = list(range(40))
    random.Random(0).shuffle(order)
    for index in order:
        pair = store.pair(index)
        assert pair.image == raw.draw(index % 20) + bytes([index % 20]) * 5000
        assert pair.caption == f"第{index}句"
        assert store.image_index(f"图{index % 20}") == index % 20
    store.verify()


def test_two_readers_of_one_store_share_its_files(animal_store: Path) -> None:
    train, valid = StoreReader(animal_store), StoreReader(animal_store)
    assert train.image(0) == valid.image(0)
    train.close()
    assert valid.image(1).image_id == "12"
    valid.close()
    assert valid.image(2).image_id == "13"
    valid.close()
    train.close()


def test_a_reader_travels_by_pickle_before_and_after_reading(sharded_store: Path, open_store: Any) -> None:
    store = open_store(sharded_store)
    fresh = pickle.loads(pickle.dumps(store))
    expected = [store.pair(index) for index in range(store.pair_count)]
    used = pickle.loads(pickle.dumps(store))
    for copy in (fresh, used):
        assert [copy.pair(index) for index in range(copy.pair_count)] == expected
        copy.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_read_the_same_rows(sharded_store: Path, open_store: Any, method: str) -> None:
    store = open_store(sharded_store)
    expected = [store.pair(index) for index in range(store.pair_count)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(store.pair, range(store.pair_count), chunksize=3) == expected
    assert store.pair(0) == expected[0]


def test_no_environment_is_carried_over_a_fork(animal_store: Path, open_store: Any) -> None:
    store = open_store(animal_store)
    store.image(0)

    def forked(depth: int) -> int:
        child = os.fork()
        if child == 0:
            good = all(file._environment is None for file in store._records.files.values())
            good = (
                good
                and store.image(1).image_id == "12"
                and StoreReader(animal_store).text(0).caption == "一只猫"
            )
            os._exit(0 if good and (depth == 0 or forked(depth - 1) == 0) else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert forked(depth=2) == 0
    assert store.image(0).image_id == "11"


def test_threads_and_forks_at_the_same_time_do_not_disturb_each_other(
    sharded_store: Path, open_store: Any
) -> None:
    store = open_store(sharded_store)
    expected = [store.pair(index) for index in range(store.pair_count)]
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        generator = random.Random(threading.get_ident())
        while not done.is_set():
            index = generator.randrange(store.pair_count)
            try:
                if store.pair(index) != expected[index]:
                    wrong.append(index)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            os._exit(0 if store.pair(3) == expected[3] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_read_only_copy_by_another_name_reads_alike(
    animal_store: Path, tmp_path: Path, open_store: Any
) -> None:
    copy = tmp_path / "复制"
    shutil.copytree(animal_store, copy)
    for file in copy.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    assert open_store(copy).pair(6) == open_store(animal_store).pair(6)
    assert sorted(path.name for path in (copy / "shard-00000").iterdir()) == ["data.mdb"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_an_error_and_not_a_crash(animal_store: Path, share: float) -> None:
    data = animal_store / "shard-00000" / "data.mdb"
    before = StoreReader(animal_store)
    with open(data, "r+b") as file:
        file.truncate(int(data.stat().st_size * share))
    with pytest.raises(StoreError, match="bytes, the"):
        StoreReader(animal_store)
    with pytest.raises(StoreError, match="bytes, the header says"):
        before.image(0)


@pytest.mark.parametrize("name", ["header.json", "MANIFEST.json", "shard-00000/data.mdb", "pair_images.i64"])
def test_a_missing_file_is_named(animal_store: Path, name: str) -> None:
    (animal_store / name).unlink()
    with pytest.raises(StoreError, match=name.rpartition("/")[2]):
        StoreReader(animal_store)


def test_what_is_no_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        StoreReader(tmp_path / "没有")
    with pytest.raises(StoreError, match="no store") as caught:
        StoreReader(tmp_path)
    assert f"cnclip data build {tmp_path} STORE" in str(caught.value)
    assert "eval zeroshot" in str(caught.value) and "again" not in str(caught.value)
    table = tmp_path / "表.jsonl"
    table.touch()
    with pytest.raises(StoreError, match="is a file, not a store") as caught:
        StoreReader(table)
    assert f"cnclip data build {table} STORE" in str(caught.value)


def test_what_is_left_of_a_store_is_to_be_built_again(animal_store: Path) -> None:
    (animal_store / "header.json").unlink()
    with pytest.raises(StoreError, match="again"):
        StoreReader(animal_store)


def set_header(store: Path, **changes: object) -> None:
    """Change the header, and the manifest with it, as a newer cnclip might."""
    header = {**read_json(store / "header.json"), **changes}
    (store / "header.json").write_text(json.dumps(header), encoding="utf-8")
    write_manifest(store, read_manifest(store).facts)


def test_other_versions_and_formats_are_refused(animal_store: Path) -> None:
    set_header(animal_store, version=3)
    with pytest.raises(StoreError, match=r"store format 3; this cnclip reads 1 to 2\n.*\n  fix: upgrade"):
        StoreReader(animal_store)
    set_header(animal_store, version=2, images="many", shards=[{"name": 1}])
    with pytest.raises(StoreError, match="damaged"):
        StoreReader(animal_store)
    set_header(animal_store, format="something")
    with pytest.raises(StoreError, match="not the header"):
        StoreReader(animal_store)


def test_an_edited_header_is_found_out(animal_store: Path) -> None:
    text = (animal_store / "header.json").read_text(encoding="utf-8")
    (animal_store / "header.json").write_text(text.replace('"images": 4', '"images": 3'), encoding="utf-8")
    with pytest.raises(StoreError, match="sha256"):
        StoreReader(animal_store)


def everything(path: Path) -> list[object]:
    """All that a reader says of a store; leaves no file open."""
    with StoreReader(path) as store:
        rows: list[object] = [store.header.fingerprint]
        rows += [store.image(index) for index in range(store.image_count)]
        rows += [store.text(index) for index in range(store.text_count)]
        rows += [store.pair(index) for index in range(store.pair_count)]
        rows += [store.texts_of(index).tolist() for index in range(store.image_count)]
        rows += [store.caption_group(index) for index in range(store.text_count)]
        rows += [store.image_index(store.image_id(index)) for index in range(store.image_count)]
        rows += [store.text_index(store.text(index).text_id) for index in range(store.text_count)]
        return rows


def flip(file: Path, position: int, bit: int) -> None:
    with open(file, "r+b") as opened:
        opened.seek(position)
        byte = opened.read(1)[0]
        opened.seek(position)
        opened.write(bytes([byte ^ 1 << bit]))


@pytest.mark.parametrize(
    "flips", [pytest.param(150, id="few"), pytest.param(5000, marks=pytest.mark.nightly)]
)
def test_one_flipped_bit_is_found_or_harmless(sharded_store: Path, flips: int) -> None:
    expected = everything(sharded_store)
    files = [file for file in sorted(sharded_store.rglob("*")) if file.is_file()]
    generator = random.Random(flips)
    found = 0
    for _ in range(flips):
        file = generator.choice(files)
        position, bit = generator.randrange(file.stat().st_size), generator.randrange(8)
        flip(file, position, bit)
        try:
            assert everything(sharded_store) == expected, f"{file.name}@{position}:{bit}"
        except (StoreError, KeyError):
            found += 1
        finally:
            flip(file, position, bit)
    assert found > flips // 4
    assert everything(sharded_store) == expected


def test_damage_of_a_record_is_named_and_others_still_read(sharded_store: Path, open_store: Any) -> None:
    data = sharded_store / "shard-00001" / "data.mdb"
    content = data.read_bytes()
    place = content.index(bytes([4]) * 1000)
    flip(data, place + 10, 3)
    store = open_store(sharded_store)
    assert store.image(3).image_id == "图3"
    with pytest.raises(StoreError, match="record of picture 4 is damaged") as caught:
        store.image(4)
    assert caught.value.where is not None
    assert "picture 4" in caught.value.where
    assert store.image_id(4) == "图4"
    with pytest.raises(StoreError, match=r"shard-00001/data.mdb differs from its sha256"):
        store.verify()


def test_a_store_replaced_under_its_name_is_noticed_by_new_workers(
    animals: Path, animal_store: Path, raw: Any, tmp_path: Path, open_store: Any
) -> None:
    old = open_store(animal_store)
    assert old.image_count == 4
    travelling = pickle.dumps(old)
    other = raw.write_cn_clip(tmp_path / "other", [("新", raw.draw(1))], [raw.text_row(1, "新", ["新"])])
    old.image(0)
    build_store(read_source(other), animal_store, options=BuildOptions(overwrite=True))
    assert old.image(0).image_id == "11"
    assert open_store(animal_store).image(0).image_id == "新"
    with pytest.raises(StoreError, match="replaced"):
        pickle.loads(travelling)


def test_an_empty_list_of_pairs_is_an_empty_array(tmp_path: Path, raw: Any, open_store: Any) -> None:
    folder = raw.write_cn_clip(tmp_path / "d", [(1, raw.draw(1))], [raw.text_row(1, "查询", [])])
    build_store(read_source(folder), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert store.pair_images.shape == store.pair_texts.shape == (0,)
    assert store.header.unreferenced_images == 1


def test_reading_does_not_import_torch(animal_store: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from cnclip.stores.reader import StoreReader; import cnclip.stores.writer;"
        "StoreReader(sys.argv[1]).pair(0); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, animal_store], check=True)
