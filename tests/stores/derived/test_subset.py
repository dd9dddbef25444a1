"""Some rows of a store as a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import RecipeError, SourceError, UnknownNameError
from cnclip.stores.derived import DerivedSource, choose, origin_of, read_ids
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

Rows = Callable[[StoreReader], tuple[dict[str, bytes], dict[str, tuple[str, tuple[str, ...]]]]]


@pytest.fixture
def subset(tmp_path: Path, open_reader: Callable[[Path], StoreReader]) -> Callable[..., StoreReader]:
    def make(reader: StoreReader, **asked: Any) -> StoreReader:
        source = DerivedSource([reader], choose(reader, **asked), {"kind": "subset", **origin_of(reader)})
        build_store(source, tmp_path / "子集")
        return open_reader(tmp_path / "子集")

    return make


def test_all_rows_have_the_fingerprint_of_the_store(
    albums: StoreReader, subset: Callable[..., StoreReader]
) -> None:
    made = subset(albums)
    assert made.fingerprint == albums.fingerprint
    made.verify()


def test_ids_of_pictures_bring_their_captions_and_cut_links(
    albums: StoreReader, subset: Callable[..., StoreReader], rows_of: Rows
) -> None:
    images, texts = rows_of(subset(albums, ids=["图11", "图3"]))
    whole_images, _ = rows_of(albums)
    assert list(images) == ["图3", "图11"]
    assert images == {name: whole_images[name] for name in images}
    assert texts == {
        "文3": ("第3张照片", ("图3",)),
        "文11": ("第11张照片", ("图11",)),
        "共": ("这两张都是山🐼", ("图11",)),
    }


def test_ids_of_captions_bring_their_pictures(
    albums: StoreReader, subset: Callable[..., StoreReader], rows_of: Rows
) -> None:
    images, texts = rows_of(subset(albums, ids=["共"]))
    assert list(images) == ["图10", "图11"] and list(texts) == ["共"]


def test_a_word_finds_captions_and_all_takes_the_others_of_the_picture(
    albums: StoreReader, subset: Callable[..., StoreReader], rows_of: Rows, tmp_path: Path
) -> None:
    found = choose(albums, says=lambda caption: "山" in caption)
    assert found.image_count == 2 and found.texts.sum() == 1
    _, texts = rows_of(subset(albums, says=lambda caption: "山" in caption, captions="all"))
    assert list(texts) == ["文10", "文11", "共"]


def test_ids_and_a_word_are_both_asked_for(
    albums: StoreReader, subset: Callable[..., StoreReader], rows_of: Rows
) -> None:
    images, texts = rows_of(subset(albums, ids=["图10", "图5"], says=lambda caption: "山" in caption))
    assert list(images) == ["图10"] and list(texts) == ["共"]


def test_unknown_ids_are_named_or_passed_over(albums: StoreReader) -> None:
    with pytest.raises(UnknownNameError, match="no picture has the id 图99"):
        choose(albums, ids=["图1", "图99"])
    assert choose(albums, ids=["图1", "图99"], skip_unknown=True).image_count == 1
    with pytest.raises(UnknownNameError):
        choose(albums, ids=["图99"], skip_unknown=True)


def test_ids_of_both_kinds_must_be_told_apart(
    make_store: Callable[..., StoreReader], photo: Callable[..., bytes]
) -> None:
    reader = make_store("号", {"1": photo(1), "2": photo(2)}, [("1", "一", ["2"]), ("2", "二", ["1"])])
    with pytest.raises(RecipeError, match="alike"):
        choose(reader, ids=["1"])
    assert choose(reader, ids=["1"], kind="image").stand_ins.tolist() == [0, -1]
    assert choose(reader, ids=["1"], kind="text").stand_ins.tolist() == [-1, 1]


def test_nothing_left_is_an_error(albums: StoreReader) -> None:
    with pytest.raises(SourceError, match="no picture is left"):
        choose(albums, says=lambda caption: "火车" in caption)


def test_a_list_of_ids_is_read_by_lines(tmp_path: Path) -> None:
    file = tmp_path / "名单.txt"
    file.write_bytes("\ufeff图1\r\n\r\n图 2\n图1\n".encode())
    assert read_ids(file) == ["图1", "图 2"]
    file.write_bytes("图1\n".encode() + "猫狗".encode("gb18030"))
    with pytest.raises(SourceError, match="utf-8"):
        read_ids(file)
    with pytest.raises(SourceError):
        read_ids(tmp_path / "没有.txt")
