"""Pictures by source, size, shape and captions: what a store knows, and nothing that it does not."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnclip.evaluation.insight import picture_slices
from cnclip.evaluation.insight.picture_slices import (
    LookedPictures,
    choose_pictures,
    look_at,
    slice_by_picture,
)
from cnclip.evaluation.insight.slice_making import Slice
from cnclip.evaluation.insight.slice_statistics import LEAST
from cnclip.stores.derived.index import write_index
from cnclip.stores.derived.merge import merged
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store


def png(width: int, height: int, grey: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height), grey % 256).save(buffer, "PNG")
    return buffer.getvalue()


def make_store(folder: Path, pictures: Mapping[str, bytes], name: str = "库") -> StoreReader:
    """A store of pictures with one caption each, by JSON lines."""
    lines = []
    for picture, data in pictures.items():
        path = folder / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        row = {"image": picture, "captions": [f"图{picture}"], "text_id": picture}
        lines.append(json.dumps(row, ensure_ascii=False))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_store(read_source(folder / f"{name}.jsonl"), folder / name)
    return StoreReader(folder / name)


def everything(store: StoreReader) -> LookedPictures:
    return look_at(store, tuple(range(store.image_count)))


def by_family(
    looked: LookedPictures, pictures: np.ndarray, captions: np.ndarray
) -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = {}
    for part in slice_by_picture(looked, pictures, captions):
        for one in part.slices:
            held = np.flatnonzero(one.members & part.queries).tolist()
            if held:
                found.setdefault(one.family, {})[one.key] = held
    return found


def test_sizes_and_shapes_are_read_from_headers(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"a.png": png(300, 200), "b.png": png(64, 64), "c.png": png(50, 1000)})
    looked = everything(store)
    assert looked.sides.tolist() == [[300, 200], [64, 64], [50, 1000]]
    assert looked.sources is None
    found = by_family(looked, np.array([0, 0, 1, 2]), np.array([2, 1, 1]))
    assert found["size"] == {"128–223": [0, 1], "64–127": [2], "0–63": [3]}
    assert found["shape"] == {"1.4–1.6": [0, 1], "1–1.1": [2], "≥3": [3]}
    assert found["captions"] == {"2": [0, 1], "1": [2, 3]}
    assert "source" not in found


def test_folders_of_ids_are_sources_below_what_all_share(tmp_path: Path) -> None:
    pictures = {f"图/甲/{n}.png": png(40, 40, n) for n in range(3)}
    pictures |= {f"图/乙/深/{n}.png": png(40, 40, 9 + n) for n in range(2)}
    looked = everything(make_store(tmp_path, pictures))
    assert looked.sources == ("甲", "甲", "甲", "乙", "乙")


def test_one_folder_for_all_is_no_source(tmp_path: Path) -> None:
    store = make_store(tmp_path, {f"图/{n}.png": png(40, 40, n) for n in range(3)})
    assert everything(store).sources is None


@pytest.mark.parametrize(
    ("files", "sources"),
    [(("coco", "flickr"), ("coco.jsonl", "flickr.jsonl")), (("part-01", "part-02"), None)],
)
def test_source_files_of_merged_stores_are_sources_but_numbered_parts_are_one(
    files: tuple[str, str], sources: tuple[str, str] | None, tmp_path: Path
) -> None:
    parts = [make_store(tmp_path / file, {f"{file}.png": png(40, 40)}, file) for file in files]
    build_store(merged(parts), tmp_path / "库")
    assert everything(StoreReader(tmp_path / "库")).sources == sources


def test_folders_that_are_only_numbers_are_no_sources(tmp_path: Path) -> None:
    store = make_store(tmp_path, {f"{n:03d}/{n}.png": png(40, 40, n) for n in range(3)})
    assert everything(store).sources is None


def test_parts_of_an_index_store_are_sources(tmp_path: Path) -> None:
    one = make_store(tmp_path / "1", {"a.png": png(40, 40)}, "街景")
    two = make_store(tmp_path / "2", {"b.png": png(41, 40), "c.png": png(42, 40)}, "商品")
    write_index([one, two], tmp_path / "索引")
    assert everything(StoreReader(tmp_path / "索引")).sources == ("街景", "商品", "商品")


def test_large_sources_stand_alone_and_small_ones_together() -> None:
    names = ("甲",) * (LEAST + 5) + ("乙",) * LEAST + ("丙",) * 3 + ("丁",) * 2
    looked = LookedPictures(np.arange(len(names)), names, np.ones((len(names), 2), dtype=np.int64))
    places = np.arange(len(names))
    parts = slice_by_picture(looked, places, np.ones(len(names), dtype=np.int64))
    slices: list[Slice] = [one for part in parts for one in part.slices if one.family == "source"]
    assert [(one.shown.zh, int(one.members.sum())) for one in slices] == [
        ("甲", 25),
        ("乙", 20),
        ("其余 2 处", 5),
    ]
    assert np.sum([one.members for one in slices], axis=0).tolist() == [1] * len(names)


def test_a_picture_without_a_readable_header_has_no_size_but_is_counted_elsewhere() -> None:
    looked = LookedPictures(np.array([4, 7]), None, np.array([[0, 0], [100, 100]]))
    found = by_family(looked, np.array([4, 7]), np.full(8, 3))
    assert found["size"] == {"64–127": [1]} and found["captions"] == {"3–4": [0, 1]}
    assert picture_slices._size(b"no picture") == (0, 0)


def test_of_many_pictures_a_sample_is_looked_at_and_others_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture_slices, "MOST_PICTURES", 3)
    chosen = choose_pictures(np.array([5, 5, 1, 2, 9, 7]), seed=1)
    assert len(chosen) == 3 and set(chosen.tolist()) <= {1, 2, 5, 7, 9}
    np.testing.assert_array_equal(chosen, choose_pictures(np.array([1, 2, 5, 7, 9]), seed=1))
    looked = LookedPictures(chosen, None, np.full((3, 2), 100))
    part = slice_by_picture(looked, np.array([1, 2, 5, 7, 9]), np.ones(10, dtype=np.int64))[0]
    assert part.queries.sum() == 3
