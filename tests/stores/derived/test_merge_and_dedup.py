"""Several stores as one, and one store without what it repeats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import RecipeError, SourceError
from cnclip.stores.derived import (
    DerivedSource,
    choose,
    find_repeats,
    group_lines,
    merged,
    sketch_stores,
)
from cnclip.stores.doctor import Tools
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

Rows = Callable[[StoreReader], tuple[dict[str, bytes], dict[str, tuple[str, tuple[str, ...]]]]]
Make = Callable[..., StoreReader]


@pytest.fixture
def write(
    tmp_path: Path, open_reader: Callable[[Path], StoreReader]
) -> Callable[[DerivedSource], StoreReader]:
    def build(source: DerivedSource, name: str = "合") -> StoreReader:
        build_store(source, tmp_path / name)
        return open_reader(tmp_path / name)

    return build


def test_merged_halves_are_the_whole(albums: StoreReader, write: Any) -> None:
    halves = []
    for name, numbers in (("上", range(15)), ("下", range(15, 30))):
        choice = choose(albums, ids=[f"图{number}" for number in numbers])
        halves.append(write(DerivedSource([albums], choice, {}), name))
    made = write(merged(halves))
    assert (made.image_count, made.text_count) == (30, 31)
    assert list(made.image_ids()) == list(albums.image_ids())


def test_colliding_ids_are_listed_and_nothing_is_written(
    make_store: Make, photo: Callable[..., bytes], tmp_path: Path
) -> None:
    one = make_store("甲", {"1": photo(1), "2": photo(2)}, [("1", "一", ["1"]), ("3", "三", ["2"])])
    two = make_store("乙", {"2": photo(3), "9": photo(4)}, [("1", "壹", ["2"]), ("8", "八", ["9"])])
    with pytest.raises(SourceError, match="2 ids that two stores have") as caught:
        merged([one, two])
    assert "picture 2:" in str(caught.value) and "caption 1:" in str(caught.value)
    assert "--prefix true" in str(caught.value)


def test_a_prefix_keeps_colliding_rows_apart(
    make_store: Make, photo: Callable[..., bytes], write: Any, rows_of: Rows
) -> None:
    one = make_store("甲", {"1": photo(1)}, [("1", "一", ["1"])])
    two = make_store("乙", {"1": photo(2)}, [("1", "壹", ["1"])])
    images, texts = rows_of(write(merged([one, two], prefix=True)))
    assert images == {"甲/1": photo(1), "乙/1": photo(2)}
    assert texts == {"甲/1": ("一", ("甲/1",)), "乙/1": ("壹", ("乙/1",))}


def test_equal_pictures_become_one_with_the_captions_of_all(
    make_store: Make, photo: Callable[..., bytes], write: Any, rows_of: Rows
) -> None:
    one = make_store("甲", {"1": photo(1), "2": photo(2)}, [("a", "一", ["1"])])
    two = make_store("乙", {"5": photo(1), "6": photo(3)}, [("b", "又一", ["5", "6"]), ("c", "六", ["6"])])
    images, texts = rows_of(write(merged([one, two], duplicates="drop")))
    assert list(images) == ["1", "2", "6"]
    assert texts == {"a": ("一", ("1",)), "b": ("又一", ("1", "6")), "c": ("六", ("6",))}
    kept, _ = rows_of(write(merged([one, two]), "全留"))
    assert list(kept) == ["1", "2", "5", "6"]


def test_stores_that_overlap_merge_where_the_rows_are_the_same(
    make_store: Make, photo: Callable[..., bytes], write: Any, rows_of: Rows
) -> None:
    one = make_store("甲", {"1": photo(1), "2": photo(2)}, [("a", "一", ["1"]), ("b", "二", ["2"])])
    two = make_store("乙", {"2": photo(2), "3": photo(3)}, [("b", "二", ["2"]), ("c", "三", ["3"])])
    images, texts = rows_of(write(merged([one, two], duplicates="drop")))
    assert list(images) == ["1", "2", "3"] and list(texts) == ["a", "b", "c"]
    with pytest.raises(SourceError, match="2 ids"):
        merged([one, two])


def test_one_store_or_one_twice_is_refused(albums: StoreReader) -> None:
    for readers in ([albums], [albums, albums]):
        with pytest.raises(RecipeError, match="missing or given twice"):
            merged(readers)


def test_dedup_keeps_one_of_equal_pictures_and_moves_the_captions(
    albums: StoreReader, tools: Tools, write: Any, rows_of: Rows
) -> None:
    pictures = sketch_stores([albums], tools)
    repeats = find_repeats(albums, pictures, near=0)
    made = write(DerivedSource([albums], repeats.choice, {}))
    images, texts = rows_of(made)
    whole, _ = rows_of(albums)
    assert len(images) == 30 - 4 - 3 == 30 - len(repeats.removed)
    assert all(whole[name] == data for name, data in images.items())
    assert len(texts) == 32 and texts["文20"] == ("第20张照片", ("图0",))
    assert texts["文24"][1] == ("图24",)  # recompressed: only near
    lines = {line["kept"]: line["removed"] for line in group_lines(albums, pictures, repeats)}
    assert lines["图0"] == [{"image_id": "图20", "why": "same bytes", "bits": 0}]
    # the same pixels in a larger file: that one stays
    assert lines["图27"] == [{"image_id": "图7", "why": "same pixels", "bits": 0}]
    assert texts["文7"] == ("第7张照片", ("图27",))


def test_near_pictures_go_too_and_the_largest_stays(
    make_store: Make, photo: Callable[..., bytes], tools: Tools
) -> None:
    images = {
        "小": photo(1, "JPEG", quality=70),
        "大": photo(1, size=(192, 144)),
        "别": photo(2),
        "又": photo(1),
    }
    reader = make_store("照", images, [("1", "山", ["小"]), ("2", "水", ["别", "又"])])
    pictures = sketch_stores([reader], tools)
    assert len(find_repeats(reader, pictures, near=0).removed) == 0
    repeats = find_repeats(reader, pictures, near=6)
    assert repeats.choice.stand_ins.tolist() == [1, 1, 2, 1]
    (line,) = group_lines(reader, pictures, repeats)
    assert line["kept"] == "大" and [gone["image_id"] for gone in line["removed"]] == ["小", "又"]
    assert all(gone["why"] == "near" and gone["bits"] <= 6 for gone in line["removed"])


def test_what_goes_is_near_to_what_stays_not_to_a_link_between(
    make_store: Make, photo: Callable[..., bytes], tools: Tools
) -> None:
    reader = make_store("链", {str(number): photo(number) for number in range(3)}, [("1", "链", ["0"])])
    pictures = sketch_stores([reader], tools)
    pictures["near_key"] = [0b0000, 0b0111, 0b111111]  # 0-1 and 1-2 are three bits apart, 0-2 six
    pictures["colours"] = 100
    pictures["pixel_key"] = [1, 2, 3]
    pictures["width"] = [50, 40, 30]
    assert find_repeats(reader, pictures, near=3).choice.stand_ins.tolist() == [0, 0, 2]


def test_undecodable_pictures_repeat_by_their_bytes(
    make_store: Make, photo: Callable[..., bytes], tools: Tools
) -> None:
    bad = b"<html>404</html>"
    reader = make_store("坏", {"1": bad, "2": photo(2), "3": bad}, [("1", "坏", ["3"])])
    repeats = find_repeats(reader, sketch_stores([reader], tools), near=6)
    assert repeats.choice.stand_ins.tolist() == [0, 1, 0]
