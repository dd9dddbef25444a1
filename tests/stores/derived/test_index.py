"""An index store reads like the merge that copies, and every verb takes it."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnclip.commands import main
from cnclip.errors import RecipeError, RefusedError, SourceError, StoreError
from cnclip.stores.derived import merged, write_index
from cnclip.stores.layout import IMAGE_ID, TEXT_ID
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

Make = Callable[..., StoreReader]


@pytest.fixture
def parts(make_store: Make, photo: Callable[..., bytes]) -> list[StoreReader]:
    """Three stores: captions with several pictures, an unlabelled query, a picture without a caption."""
    one = make_store(
        "甲", {"猫": photo(1), "狗": photo(2)}, [("a", "一只猫", ["猫"]), ("b", "猫和狗", ["猫", "狗"])]
    )
    two = make_store("乙", {"鸟": photo(3)}, [("c", "没有图片的查询", []), ("d", "一只猫", ["鸟"])])
    three = make_store(
        "丙",
        {"山": photo(4), "水": photo(5), "🐼": photo(6)},
        [("e", "山水", ["水", "山"]), ("f", "水", ["水"])],
    )
    return [one, two, three]


@pytest.fixture
def index(
    parts: list[StoreReader], tmp_path: Path, open_reader: Callable[[Path], StoreReader]
) -> StoreReader:
    write_index(parts, tmp_path / "索引")
    return open_reader(tmp_path / "索引")


@pytest.fixture
def copied(
    parts: list[StoreReader], tmp_path: Path, open_reader: Callable[[Path], StoreReader]
) -> StoreReader:
    build_store(merged(parts), tmp_path / "抄")
    return open_reader(tmp_path / "抄")


def everything(store: StoreReader) -> list[object]:
    """All that a reader says of a store's rows."""
    images, texts = range(store.image_count), range(store.text_count)
    rows: list[object] = [store.image(i) for i in images]
    rows += [store.text(i) for i in texts]
    rows += [store.pair(i) for i in range(store.pair_count)]
    rows += [store.pair_at(i) for i in range(store.pair_count)]
    rows += [store.texts_of(i).tolist() for i in images]
    rows += [store.caption_group(i) for i in texts]
    rows += [store.image_index(name) for name in store.image_ids()]
    rows += [store.text_index(name) for name in store.text_ids()]
    rows += [list(store.id_keys(IMAGE_ID)), list(store.id_keys(TEXT_ID)), list(store.captions())]
    return rows


def test_an_index_reads_like_the_merge_that_copies(index: StoreReader, copied: StoreReader) -> None:
    assert (index.image_count, index.text_count, index.pair_count) == (6, 6, 7)
    assert everything(index) == everything(copied)
    assert np.array_equal(index.pair_images, copied.pair_images)
    assert np.array_equal(index.pair_texts, copied.pair_texts)
    assert (index.header.unlabelled_texts, index.header.unreferenced_images) == (1, 1)
    assert index.header.image_bytes == copied.header.image_bytes
    assert not list(index.path.rglob("data.mdb"))
    index.verify()


def test_numbers_beyond_the_rows_and_unknown_ids_are_errors(index: StoreReader) -> None:
    for read, count in ((index.image, 6), (index.text, 6), (index.image_id, 6), (index.pair, 7)):
        for number in (-1, count):
            with pytest.raises(IndexError):
                read(number)
    for find in (index.image_index, index.text_index):
        with pytest.raises(KeyError):
            find("没有")


def test_an_index_travels_by_pickle_fork_and_spawn(index: StoreReader) -> None:
    expected = [index.pair(number) for number in range(index.pair_count)]
    copy = pickle.loads(pickle.dumps(index))
    assert [copy.pair(number) for number in range(copy.pair_count)] == expected
    copy.close()
    child = os.fork()
    if child == 0:
        os._exit(0 if index.pair(5) == expected[5] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(index.pair, range(index.pair_count)) == expected
    index.close()
    assert index.pair(6) == expected[6]


def test_the_fingerprint_is_that_of_the_parts_in_their_order(
    parts: list[StoreReader], index: StoreReader, copied: StoreReader, tmp_path: Path
) -> None:
    again = write_index(parts, tmp_path / "又").fingerprint
    other = write_index(parts[::-1], tmp_path / "反").fingerprint
    assert again == index.fingerprint
    assert len({again, other, copied.fingerprint, *(part.fingerprint for part in parts)}) == 6


def test_the_folder_that_holds_all_can_be_moved(
    parts: list[StoreReader], index: StoreReader, tmp_path: Path, open_reader: Callable[[Path], StoreReader]
) -> None:
    expected = everything(index)
    moved = tmp_path / "搬家"
    moved.mkdir()
    for store in (*parts, index):
        store.close()
        store.path.rename(moved / store.path.name)
    assert everything(open_reader(moved / "索引")) == expected
    assert [part.path for part in index.header.parts] == ["../甲", "../乙", "../丙"]


def test_a_part_that_is_missing_or_another_store_is_named(
    parts: list[StoreReader],
    index: StoreReader,
    make_store: Make,
    photo: Callable[..., bytes],
    open_reader: Callable[[Path], StoreReader],
) -> None:
    parts[1].path.rename(parts[1].path.with_name("别处"))
    assert open_reader(index.path).image(0).image_id == "猫"
    with pytest.raises(StoreError, match=r"part \.\./乙 of the index is missing\n.*\n  fix: .*--index true"):
        open_reader(index.path).image(2)
    make_store("新", {"新": photo(9)}, [("x", "新", ["新"])]).path.rename(parts[1].path)
    with pytest.raises(StoreError, match=r"part \.\./乙 of the index was replaced"):
        open_reader(index.path).image(2)
    with pytest.raises(StoreError, match=r"part \.\./乙"):
        open_reader(index.path).verify()


def test_verify_looks_into_the_parts(
    parts: list[StoreReader], index: StoreReader, open_reader: Callable[[Path], StoreReader]
) -> None:
    data = parts[2].path / "shard-00000" / "data.mdb"
    content = bytearray(data.read_bytes())
    content[-100] ^= 1
    data.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="differs from its sha256"):
        open_reader(index.path).verify()


def test_an_index_may_be_a_part(
    parts: list[StoreReader], copied: StoreReader, tmp_path: Path, open_reader: Callable[[Path], StoreReader]
) -> None:
    write_index(parts[:2], tmp_path / "前")
    write_index([open_reader(tmp_path / "前"), parts[2]], tmp_path / "全")
    assert everything(open_reader(tmp_path / "全")) == everything(copied)


def test_a_store_of_the_first_format_may_be_a_part(
    parts: list[StoreReader], tmp_path: Path, open_reader: Callable[[Path], StoreReader]
) -> None:
    import tarfile

    with tarfile.open(Path(__file__).parents[1] / "format_1_store.tar.xz") as archive:
        archive.extractall(tmp_path)
    old = open_reader(tmp_path / "store")
    write_index([parts[0], old], tmp_path / "混")
    mixed = open_reader(tmp_path / "混")
    assert [mixed.image(2 + number) for number in range(4)] == [old.image(number) for number in range(4)]
    assert mixed.texts_of(4).tolist() == [3, 4, 7] and mixed.caption_group(0) == mixed.caption_group(7)


def test_ids_in_several_parts_are_listed_and_nothing_is_written(
    parts: list[StoreReader], make_store: Make, photo: Callable[..., bytes], tmp_path: Path
) -> None:
    images = {"狗": photo(7), **{str(number): photo(10 + number) for number in range(30)}}
    four = make_store("丁", images, [("f", "水", ["狗"])])
    five = make_store("戊", images | {"猫": photo(8)}, [("g", "猫", ["猫"])])
    with pytest.raises(SourceError, match="33 ids that two stores have; nothing was written") as caught:
        write_index([*parts, four, five], tmp_path / "撞")
    message = str(caught.value)
    assert message.count("\n  picture ") == 20 and "… and 13 more" in message and "--shard-of" in message
    assert not (tmp_path / "撞").exists() and not list(tmp_path.glob(".tmp-*"))
    with pytest.raises(SourceError, match=r"1 ids") as caught:
        write_index([parts[0], make_store("己", {"牛": photo(3)}, [("b", "牛", ["牛"])])], tmp_path / "撞")
    assert f"caption b: {parts[0].path}, {tmp_path / '己'}" in str(caught.value)


def test_too_few_stores_and_foreign_targets_are_refused(parts: list[StoreReader], tmp_path: Path) -> None:
    for readers in (parts[:1], [parts[0], parts[0]]):
        with pytest.raises(RecipeError, match="missing or given twice"):
            write_index(readers, tmp_path / "x")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "照片").write_text("我的")
    with pytest.raises(RefusedError, match="no store"):
        write_index(parts, tmp_path / "y", overwrite=True)
    write_index(parts[:2], tmp_path / "z")
    with pytest.raises(RefusedError, match="there already"):
        write_index(parts, tmp_path / "z")
    assert len(write_index(parts, tmp_path / "z", overwrite=True).parts) == 3


def test_merge_makes_an_index_by_its_option(
    parts: list[StoreReader], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "merge", *(str(part.path) for part in parts), str(tmp_path / "全")]
    assert main([*words, "--index", "true"]) == 0
    printed = capsys.readouterr().out
    assert "6 pictures, 6 captions, 7 pairs" in printed and "names 3 stores and copies no picture" in printed
    assert main([*words[:-1], str(tmp_path / "二"), "--index", "true", "--prefix", "true"]) == 2
    assert "leave out" in capsys.readouterr().err


def test_the_verbs_take_an_index(
    index: StoreReader, copied: StoreReader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(index.path)
    assert main(["data", "stats", path]) == 0
    assert "6 pictures" in capsys.readouterr().out
    assert main(["data", "show", path, "水"]) == 0
    assert "山水" in capsys.readouterr().out
    assert main(["data", "check", path, "--output", str(tmp_path / "报告")]) in (0, 3)
    report = json.loads((tmp_path / "报告" / "report.json").read_text(encoding="utf-8"))
    assert "6" in json.dumps(report)
    assert main(["data", "subset", path, str(tmp_path / "子"), "--query", "猫"]) == 0
    assert main(["data", "subset", str(copied.path), str(tmp_path / "子二"), "--query", "猫"]) == 0
    with StoreReader(tmp_path / "子") as ours, StoreReader(tmp_path / "子二") as theirs:
        assert ours.fingerprint == theirs.fingerprint
    assert main(["data", "export", path, str(tmp_path / "出"), "--to", "cn_clip"]) == 0
    assert main(["data", "export", str(copied.path), str(tmp_path / "出二"), "--to", "cn_clip"]) == 0
    for file in sorted((tmp_path / "出").glob("*.tsv")) + sorted((tmp_path / "出").glob("*.jsonl")):
        assert file.read_bytes() == (tmp_path / "出二" / file.name).read_bytes()


def test_training_reads_pairs_from_an_index(index: StoreReader, copied: StoreReader) -> None:
    from cnclip.batches.dataset import PairDataset, PairSample, SampleSettings
    from cnclip.images.transform import image_transform

    settings = SampleSettings(seed=7, captions="every_pair", transform=image_transform(32))
    ours, theirs = PairDataset([index], settings), PairDataset([copied], settings)
    assert len(ours) == len(theirs) == 7
    for position in range(7):
        one, two = ours.sample(0, 1, position), theirs.sample(0, 1, position)
        assert isinstance(one, PairSample) and isinstance(two, PairSample)
        assert (one.image_id, one.text_id, one.caption) == (two.image_id, two.text_id, two.caption)
        assert one.image.equal(two.image) and one.groups == two.groups


def test_copies_of_the_index_alone_point_nowhere_and_say_so(index: StoreReader, tmp_path: Path) -> None:
    shutil.copytree(index.path, tmp_path / "远" / "处")
    with StoreReader(tmp_path / "远" / "处") as lost, pytest.raises(StoreError, match="is missing"):
        lost.image(0)
