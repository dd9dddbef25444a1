"""Stores as files of other formats: what a build of them gives back, and what the report says of it."""

from __future__ import annotations

import base64
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest
from PIL import Image

from cnclip.artifacts import verify_dir
from cnclip.errors import ArtifactError, InterruptedRun, RecipeError, RefusedError
from cnclip.stores.derived.formats import EXPORT_FORMATS, Comparison, ExportOptions, compare, export_store
from cnclip.stores.derived.formats.picture_names import PictureNames
from cnclip.stores.raw import SourceKind, SourceOptions, read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

Make = Callable[..., StoreReader]
KINDS: dict[str, SourceKind] = {"jsonl": "table"}
LEFT_OUT = "captions left out or under other ids"


@pytest.fixture
def plain(make_store: Make, photo: Callable[..., bytes]) -> StoreReader:
    """What every format holds: ids that are file names in order, a caption or more of one picture each."""
    images = {f"图/{number:02d}.png": photo(number) for number in range(4)}
    captions = ["一只猫🐼", "１２３，“全角”与繁體𠮷", "Two dogs", '引号"和\\斜杠', "又一只猫"]
    texts = [
        (f"图/{number // 2:02d}.txt#{number % 2 + 1}", text, [f"图/{number // 2:02d}.png"])
        for number, text in enumerate(captions)
    ]
    return make_store("平", images, [*texts, ("图/03.txt#1", "最后", ["图/03.png"])])


@pytest.fixture
def rich(make_store: Make, photo: Callable[..., bytes]) -> StoreReader:
    """Number ids as MUGE has them, a caption of several pictures, an unlabelled query, a bare picture."""
    images = {number: photo(place) for place, number in enumerate(("10", "2", "007", "33"))}
    texts = [
        ("8428", "高级感托特包斜挎", ["2", "10"]),
        ("8429", "两行\n标题", ["007"]),
        ("8430", "没有图片", []),
        ("8431", "又一句", ["2"]),
    ]
    return make_store("富", images, texts)


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    def write(reader: StoreReader, to: Any, **options: Any) -> Path:
        export_store(reader, tmp_path / f"出-{to}", to, options=ExportOptions(**options))
        return tmp_path / f"出-{to}"

    return write


def opened(path: Path, to: str, split: str = "train") -> Any:
    named = split if to in ("cn_clip", "lmdb", "parquet") else None
    return read_source(path, KINDS.get(to, to), options=SourceOptions(split=named))  # type: ignore[arg-type]


@pytest.fixture
def rebuilt(tmp_path: Path, open_reader: Callable[[Path], StoreReader]) -> Callable[..., StoreReader]:
    def build(path: Path, to: str) -> StoreReader:
        build_store(opened(path, to), tmp_path / f"回-{to}", options=BuildOptions(on_bad="fail"))
        return open_reader(tmp_path / f"回-{to}")

    return build


@pytest.mark.parametrize("to", EXPORT_FORMATS)
def test_what_a_format_can_hold_comes_back_with_the_same_fingerprint(
    plain: StoreReader,
    to: str,
    export: Callable[..., Path],
    rebuilt: Callable[..., StoreReader],
) -> None:
    path = export(plain, to)
    verify_dir(path)
    found, again = compare(plain, opened(path, to)), rebuilt(path, to)
    assert found.lines() == [] and again.fingerprint == plain.fingerprint


@pytest.mark.parametrize("to", EXPORT_FORMATS)
def test_the_report_tells_exactly_what_a_build_will_lack(
    rich: StoreReader, to: str, export: Callable[..., Path], rebuilt: Callable[..., StoreReader]
) -> None:
    path = export(rich, to)
    found, again = compare(rich, opened(path, to)), rebuilt(path, to)
    assert (again.fingerprint == rich.fingerprint) is found.same
    lacking = {what: count for what, (count, _) in found.differences.items()}
    split_captions = {"captions under ids of their own": 2, LEFT_OUT: 2}
    expected: dict[str, dict[str, int]] = {
        "cn_clip": {},
        # key order: 007 10 2 33; the unlabelled query has no pair
        "lmdb": {"pictures that come later than in the store": 2, LEFT_OUT: 1},
        # 10: 8428#2; 2: 8428#1, 8431; 007: 8429
        "webdataset": {**split_captions, "captions that come later than in the store": 1},
        "parquet": {
            **split_captions,
            "captions that come later than in the store": 1,
            "pictures left out": 1,
        },
        "jsonl": {
            **split_captions,
            "pictures that come later than in the store": 1,
            "pictures left out": 1,
        },
        "folder": {
            "pictures under other ids": 4,
            "pictures left out": 4,
            "captions under ids of their own": 4,
            LEFT_OUT: 4,
        },
    }
    assert lacking == expected[to]


def test_cn_clip_files_are_those_of_the_original(rich: StoreReader, export: Callable[..., Path]) -> None:
    path = export(rich, "cn_clip", split="valid")
    lines = (path / "valid_texts.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines[0] == '{"text_id": 8428, "text": "高级感托特包斜挎", "image_ids": [2, 10]}'
    assert json.loads(lines[1]) == {"text_id": 8429, "text": "两行\n标题", "image_ids": ["007"]}
    rows = [line.split(b"\t") for line in (path / "valid_imgs.tsv").read_bytes().splitlines()]
    assert [row[0] for row in rows] == [b"10", b"2", b"007", b"33"]
    assert base64.b64decode(rows[0][1], validate=True) == rich.image(0).image


def test_the_lmdb_holds_what_cn_clips_own_builder_writes(
    rich: StoreReader, export: Callable[..., Path]
) -> None:
    path = export(rich, "lmdb")
    with lmdb.open(str(path / "train" / "pairs"), readonly=True, lock=False) as pairs, pairs.begin() as rows:
        assert rows.get(b"num_samples") == b"4"
        assert rows.get(b"0") == pickle.dumps((2, 8428, "高级感托特包斜挎"))
        assert rows.get(b"2") == pickle.dumps(("007", 8429, "两行\n标题"))
    with lmdb.open(str(path / "train" / "imgs"), readonly=True, lock=False) as images, images.begin() as rows:
        assert rows.get(b"num_images") == b"4"
        assert Image.open(io.BytesIO(base64.urlsafe_b64decode(rows.get(b"2")))).size == (96, 72)


@pytest.mark.parametrize("to", ["cn_clip", "lmdb", "parquet"])
def test_a_further_split_joins_the_folder(
    rich: StoreReader, plain: StoreReader, to: Any, export: Callable[..., Path]
) -> None:
    path = export(rich, to)
    export_store(plain, path, to, options=ExportOptions(split="valid"))
    verify_dir(path)
    before = compare(rich, opened(path, to)).differences
    with pytest.raises(RefusedError, match="split train is there already"):
        export_store(plain, path, to)
    export_store(plain, path, to, overwrite=True)
    assert compare(plain, opened(path, to)).same == compare(plain, opened(path, to, "valid")).same
    export_store(rich, path, to, overwrite=True)
    assert compare(rich, opened(path, to)).differences == before
    with pytest.raises(ArtifactError, match="no export to folder"):
        export_store(rich, path, "folder", overwrite=True)


def test_shards_have_a_bounded_size_and_the_same_bytes_every_time(
    albums: StoreReader, tmp_path: Path
) -> None:
    for name in ("一", "二"):
        export_store(albums, tmp_path / name, "webdataset", options=ExportOptions(shard_images=12))
    tars = sorted(file.name for file in (tmp_path / "一").glob("*.tar"))
    assert tars == ["00000.tar", "00001.tar", "00002.tar"]
    assert all((tmp_path / "一" / tar).read_bytes() == (tmp_path / "二" / tar).read_bytes() for tar in tars)
    with tarfile.open(tmp_path / "一" / "00002.tar") as archive:
        assert archive.getnames()[:3] == ["000000024.jpg", "000000024.json", "000000024.txt"]
        assert len(archive.getnames()) == 6 * 3
    export_store(albums, tmp_path / "三", "parquet", options=ExportOptions(shard_bytes=40_000))
    files = sorted(file.name for file in (tmp_path / "三").glob("*.parquet"))
    assert len(files) > 1 and files[0] == f"train-00000-of-{len(files):05d}.parquet"
    assert opened(tmp_path / "三", "parquet").counts == {"files": len(files), "rows": 30}


@pytest.mark.parametrize(
    ("image_id", "to"), [("有\t制表符", "cn_clip"), ("num_images", "lmdb"), ("长" * 200, "lmdb")]
)
def test_ids_that_a_format_cannot_hold_are_named_and_nothing_is_written(
    make_store: Make, photo: Callable[..., bytes], image_id: str, to: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "表"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo(1))
    row = {"image": "a.png", "caption": "图", "image_id": image_id}
    (folder / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    build_store(read_source(folder), tmp_path / "仓")
    with StoreReader(tmp_path / "仓") as reader, pytest.raises(RefusedError):
        export_store(reader, tmp_path / "出", to)
    assert not (tmp_path / "出").exists()


@pytest.mark.parametrize("to", EXPORT_FORMATS)
def test_a_stop_leaves_nothing_behind(albums: StoreReader, to: Any, tmp_path: Path) -> None:
    rows = []

    def stop() -> bool:
        rows.append(1)
        return len(rows) == 5

    with pytest.raises(InterruptedRun):
        export_store(albums, tmp_path / "出" / "停", to, should_stop=stop)
    assert list((tmp_path / "出").iterdir()) == []


def test_names_are_safe_and_never_in_each_others_way() -> None:
    names, jpeg = PictureNames(), b"\xff\xd8\xff"
    given = [
        names.name(number, image_id, jpeg)
        for number, image_id in enumerate(
            ["狗/一.jpg", "../x.jpg", "/abs.jpg", "11", "A.png", "a.jpg", "狗", "狗/一.png",
             "狗/一.jpg/二.jpg", "c:.jpg", ".x.jpg", "con.jpg", "x" * 300]
        )
    ]  # fmt: skip
    assert given == [
        "狗/一.jpg", "picture-00000001.jpg", "picture-00000002.jpg", "11.jpg", "A.png",
        "a.jpg.jpg", "狗.jpg", "狗/一.png.jpg", "picture-00000008.jpg", "picture-00000009.jpg",
        "picture-00000010.jpg", "picture-00000011.jpg", "picture-00000012.jpg",
    ]  # fmt: skip


def test_a_damaged_export_is_told(plain: StoreReader, export: Callable[..., Path]) -> None:
    path = export(plain, "folder")
    (path / "图" / "01.png").write_bytes(b"not a picture")
    (path / "图" / "03.txt").write_text("别的话\n", encoding="utf-8")
    found = compare(plain, opened(path, "folder"))
    assert found.lines() == [
        "pictures with other bytes: 1, such as 图/01.png",
        "captions with another text: 1, such as 图/03.txt#1",
    ]
    assert Comparison().same and not found.same


def test_a_split_is_a_plain_name() -> None:
    with pytest.raises(RecipeError, match="split"):
        ExportOptions(split="../valid")
