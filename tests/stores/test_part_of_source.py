"""Parts of a source: together they are the whole, and each is the same whoever builds it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceKind, SourceOptions, read_source
from cnclip.stores.raw.parts import Part
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, BuildReport, build_store

COUNT = 12


@dataclass(frozen=True)
class Made:
    """A source on the disk: its kind, and whether a caption may have several pictures."""

    path: Path
    kind: SourceKind
    has_lists: bool = False


def cn_clip(root: Path, raw: Any) -> Made:
    images: list[tuple[Any, bytes]] = [(f"图{number}", raw.draw(number)) for number in range(COUNT)]
    images += [("坏的", b""), ("图3", raw.draw(3)), ("图4", raw.draw(99))]
    texts = [raw.text_row(number, f"第{number}句🐼", [f"图{number}"]) for number in range(COUNT)]
    texts += [
        raw.text_row("几张", "几张图片", ["图0", "图5", "图7", "图9", "图11"]),
        raw.text_row("缺", "有一张没有", ["图1", "没有", "坏的", "图2"]),
        *(raw.text_row(f"查询{number}", f"没有图片{number}", []) for number in range(5)),
        raw.text_row("空", " ", ["图1"]),
    ]
    return Made(raw.write_cn_clip(root, images, texts), "cn_clip", has_lists=True)


def lmdb(root: Path, raw: Any) -> Made:
    texts = [raw.text_row(number, f"第{number}句", [str(number)]) for number in range(COUNT)]
    texts.append(raw.text_row(100, "几张图片", ["0", "5", "7", "9", "11"]))
    raw.write_cn_clip(root / "data", [(number, raw.draw(number)) for number in range(COUNT)], texts)
    return Made(raw.write_lmdb(root / "lmdb", root / "data"), "lmdb", has_lists=True)


def folder(root: Path, raw: Any) -> Made:
    for number in range(COUNT):
        path = root / f"组{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw.draw(number))
        path.with_suffix(".txt").write_text(f"第{number}句\n又一句\n", encoding="utf-8")
    (root / "组0" / "0.jpg").write_bytes(raw.draw(70, form="JPEG"))  # 0.txt belongs to both
    (root / "组1" / "孤.txt").write_text("没有图片", encoding="utf-8")
    (root / "组1" / "空.png").write_bytes(b"")
    return Made(root, "folder", has_lists=True)


def classes(root: Path, raw: Any) -> Made:
    for number in range(COUNT):
        path = root / f"c{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw.draw(number))
    (root / "c1" / "空.png").write_bytes(b"")
    (root / "labels.txt").write_text("c0\t猫\nc1\t狗\nc2\t鸟\n", encoding="utf-8")
    return Made(root, "classes")


def pictures(root: Path, raw: Any) -> None:
    root.mkdir()
    for number in range(COUNT):
        (root / f"{number}.png").write_bytes(raw.draw(number))


def table(root: Path, raw: Any) -> Made:
    pictures(root, raw)
    rows = [{"image": f"{number}.png", "captions": [f"第{number}句", "又一句"]} for number in range(COUNT)]
    rows += [{"image": "没有.png", "captions": "缺"}, {"image": "3.png", "captions": "再一句"}, {"x": 1}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows] + ["不是JSON"]
    (root / "表.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Made(root / "表.jsonl", "table")


def coco(root: Path, raw: Any) -> Made:
    pictures(root, raw)
    document = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(COUNT)] + [{"id": 50}],
        "annotations": [
            {"id": number, "image_id": number % COUNT, "caption": f"第{number}句"}
            for number in range(2 * COUNT)
        ]
        + [{"id": 99, "image_id": 1, "caption": ""}, 7],
    }
    (root / "captions.json").write_text(json.dumps(document), encoding="utf-8")
    return Made(root / "captions.json", "coco")


def flickr(root: Path, raw: Any) -> Made:
    pictures(root, raw)
    lines = [f"{number}.png#zhm#{k}\t第{number}图第{k}句" for number in range(COUNT) for k in range(2)]
    lines += ["坏行", "没有.png#zhm#0\t缺"]
    (root / "captions.txt").write_text("\n".join(lines), encoding="utf-8")
    return Made(root / "captions.txt", "flickr")


def members(raw: Any, number: int) -> list[tuple[str, bytes]]:
    return [(f"{number:05d}.png", raw.draw(number)), (f"{number:05d}.txt", f"第{number}句\n又一句".encode())]


def many_tars(root: Path, raw: Any) -> Made:
    for shard in range(5):
        rows = [row for number in range(3 * shard, 3 * shard + 3) for row in members(raw, number)]
        raw.write_tar(root / f"{shard}.tar", [*rows, ("../坏.txt", b"x"), (f"只有字{shard}.txt", b"x")])
    return Made(root, "webdataset")


def one_tar(root: Path, raw: Any) -> Made:
    rows = [row for number in range(COUNT) for row in members(raw, number)]
    raw.write_tar(root / "一.tar", [*rows, ("空.png", b""), ("只有字.txt", b"x")])
    return Made(root / "一.tar", "webdataset")


def many_parquets(root: Path, raw: Any) -> Made:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    root.mkdir(parents=True)
    for file in range(5):
        rows = [
            {"image": {"bytes": raw.draw(number), "path": f"{number}.png"}, "caption": f"第{number}句"}
            for number in range(3 * file, 3 * file + 3)
        ]
        rows.append({"image": {"bytes": None, "path": None}, "caption": "没有图片"})
        parquet.write_table(arrow.Table.from_pylist(rows), root / f"{file}.parquet")
    return Made(root, "parquet")


def one_parquet(root: Path, raw: Any) -> Made:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"编号": f"图{number}", "jpg": raw.draw(number), "caption": [f"第{number}句", "又一句"]}
        for number in range(COUNT)
    ]
    root.mkdir(parents=True)
    parquet.write_table(
        arrow.Table.from_pylist([*rows, {"jpg": b"", "caption": ["空"]}]), root / "一.parquet"
    )
    return Made(root / "一.parquet", "parquet")


SOURCES = (
    cn_clip, lmdb, folder, classes, table, coco, flickr, many_tars, one_tar, many_parquets, one_parquet,
)  # fmt: skip
Contents = tuple[Counter[Any], Counter[Any], set[str]]


def build(made: Made, target: Path, part: Part | None = None) -> tuple[BuildReport, Contents]:
    """The report of a build, and (pictures, pairs, caption ids) of the store."""
    skip = BuildOptions(on_bad="skip", max_bad_share=1, text_rows="source" if part else "pairs")
    source = read_source(made.path, made.kind, options=SourceOptions(part=part))
    report = build_store(source, target, options=skip)
    with StoreReader(target) as reader:
        images = Counter(
            (image.image_id, image.image) for image in map(reader.image, range(reader.image_count))
        )
        pairs = [reader.pair(index) for index in range(reader.pair_count)]
        ids = set(reader.text_ids())
    return report, (images, Counter((pair.image_id, pair.caption) for pair in pairs), ids)


def build_parts(made: Made, target: Path, count: int) -> list[tuple[BuildReport, Contents]]:
    """All parts that have pictures."""
    built = []
    for index in range(count):
        try:
            built.append(build(made, target / f"{index}-{count}", Part(index, count)))
        except SourceError as error:
            assert "has no pictures" in error.what
    return built


@pytest.mark.parametrize("make", SOURCES)
def test_the_parts_together_are_the_whole(
    make: Callable[[Path, Any], Made], tmp_path: Path, raw: Any
) -> None:
    made = make(tmp_path / "source", raw)
    whole, (images, pairs, _) = build(made, tmp_path / "whole")
    [one], three = (build_parts(made, tmp_path, count) for count in (1, 3))
    for built in ([one], three):
        assert sum((part[1][0] for part in built), Counter()) == images
        assert sum((part[1][1] for part in built), Counter()) == pairs
        assert sum(part[0].image_rows.rows_in for part in built) == whole.image_rows.rows_in
        assert sum(part[0].image_rows.rejected for part in built) == whole.image_rows.rejected
        assert sum(part[0].unlabelled_texts for part in built) == whole.unlabelled_texts
        # a row of each picture of a caption, however many parts there are
        assert sum(part[0].text_rows.rows_in for part in built) == one[0].text_rows.rows_in
        assert sum(part[0].text_rows.rejected for part in built) == one[0].text_rows.rejected
        assert sorted(name for part in built for name in part[1][2]) == sorted(one[1][2])
    assert made.has_lists or one[0].text_rows == whole.text_rows


def test_a_caption_of_several_pictures_is_numbered_by_its_whole_list(tmp_path: Path, raw: Any) -> None:
    made = cn_clip(tmp_path / "source", raw)
    ids = set().union(*(part[1][2] for part in build_parts(made, tmp_path, 3)))
    assert {f"几张#{place}" for place in range(1, 6)} | {"缺#1", "缺#4"} <= ids
    assert not {"几张", "缺", "缺#2", "缺#3"} & ids


def test_parts_of_many_shards_open_their_own_ones_only(tmp_path: Path, raw: Any) -> None:
    made = many_tars(tmp_path / "source", raw)
    (made.path / "0.tar").write_bytes(b"damaged")
    source = read_source(made.path, options=SourceOptions(part=Part(1, 3)))
    images, _, bad = raw.read_all(source)
    assert {image.where.partition("@")[0] for image in images} == {"1.tar", "4.tar"}
    assert all("damaged" not in row.reason for row in bad)
    assert [file.name for file in source.inputs] == ["1.tar", "4.tar"]
    assert source.facts == {"kind": "webdataset", "shards": 5, "part": "1/3", "part_by": "files"}


def test_a_part_is_written_in_the_header(tmp_path: Path, raw: Any) -> None:
    made = cn_clip(tmp_path / "source", raw)
    build(made, tmp_path / "store", Part(0, 2))
    with StoreReader(tmp_path / "store") as reader:
        facts = reader.header.facts["source"]
    assert (facts["part"], facts["part_by"]) == ("0/2", "ids")


def test_pictures_of_other_parts_are_not_loaded(tmp_path: Path, raw: Any) -> None:
    made = table(tmp_path / "source", raw)
    mine = [
        image.image_id
        for image in read_source(made.path, options=SourceOptions(part=Part(1, 3))).images(print)
    ]
    for number in range(COUNT):
        if f"{number}.png" not in mine:
            (made.path.parent / f"{number}.png").write_bytes(b"")
    report, (images, _, _) = build(made, tmp_path / "store", Part(1, 3))
    assert {image_id for image_id, _ in images} == set(mine)
    assert report.reasons.get("empty picture file", 0) == 0


def test_more_parts_than_pictures_is_an_error(tmp_path: Path, raw: Any) -> None:
    made = one_tar(tmp_path / "source", raw)
    with pytest.raises(SourceError, match="has no pictures"):
        for index in range(500):
            list(read_source(made.path, options=SourceOptions(part=Part(index, 500))).images(print))
