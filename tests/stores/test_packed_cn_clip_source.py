"""cn_clip's files as .gz, in zips as MUGE is distributed, and under their first names."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source


@pytest.fixture
def muge(animals: Path, tmp_path: Path) -> Path:
    """A zip with a folder, another split, rubbish of macOS and the LMDB beside."""
    path = tmp_path / "MUGE.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MUGE/", "")
        for file in sorted(animals.iterdir()):
            archive.write(file, f"MUGE/{file.name}")
            archive.writestr(f"__MACOSX/MUGE/._{file.name}", b"\0\5")
        archive.writestr("MUGE/test_texts.jsonl", '{"text_id": 9, "text": "查询", "image_ids": []}\n')
        archive.writestr("MUGE/test_imgs.tsv", (animals / "train_imgs.tsv").read_bytes())
        archive.writestr("MUGE/lmdb/train/pairs/data.mdb", b"")
    return path


def test_gzip_files_give_the_same_rows(animals: Path, raw: Any) -> None:
    images, texts, _ = raw.read_all(read_source(animals))
    for file in list(animals.iterdir()):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = raw.read_all(read_source(animals))
    assert [image.image for image in packed[0]] == [image.image for image in images]
    assert packed[0][2].where == "train_imgs.tsv.gz:3"
    assert [(text.text_id, text.image_ids) for text in packed[1]] == [
        (text.text_id, text.image_ids) for text in texts
    ]
    assert packed[2] == []
    by_file = raw.read_all(read_source(animals / "train_texts.jsonl.gz"))
    assert by_file[1] == packed[1]


def test_a_zip_is_read_without_being_unpacked(muge: Path, animals: Path, raw: Any) -> None:
    before = sorted(file.name for file in muge.parent.rglob("*"))
    images, texts, _ = raw.read_all(read_source(animals))
    with pytest.raises(SourceError) as caught:
        read_source(muge)
    assert caught.value.fix == "--split test or --split train"
    packed = raw.read_all(read_source(muge, options=SourceOptions(split="train")))
    assert [(image.image_id, image.image) for image in packed[0]] == [
        (image.image_id, image.image) for image in images
    ]
    assert [text.caption for text in packed[1]] == [text.caption for text in texts]
    assert packed[1][1].where == "MUGE.zip/MUGE/train_texts.jsonl:2"
    assert packed[2] == []
    assert sorted(file.name for file in muge.parent.rglob("*")) == before


def test_the_first_names_of_muge_are_understood(tmp_path: Path, raw: Any) -> None:
    folder = raw.write_cn_clip(tmp_path / "d", [(1, raw.draw(1))], [], split="MR_train")
    (folder / "MR_train_texts.jsonl").unlink()
    row = {"query_id": 7, "query_text": "高级感托特包斜挎", "item_ids": [1]}
    (folder / "MR_train_queries.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    images, texts, bad = raw.read_all(read_source(folder))
    assert [image.image_id for image in images] == ["1"]
    assert [(text.text_id, text.caption, text.image_ids) for text in texts] == [
        ("7", "高级感托特包斜挎", ("1",))
    ]
    assert bad == []


def test_zips_that_are_damaged_locked_or_of_something_else_are_named(muge: Path, tmp_path: Path) -> None:
    whole = muge.read_bytes()
    muge.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="not a whole zip archive"):
        read_source(muge)
    other = tmp_path / "photos.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.jpg", b"x")
    with pytest.raises(SourceError, match=r"not a known source: photos\.zip"):
        detect(other)
    damaged = bytearray(whole)
    place = whole.index(b"MUGE/train_imgs.tsv") + 60
    damaged[place : place + 20] = bytes(20)
    muge.write_bytes(damaged)
    with pytest.raises(SourceError, match="cut or damaged"):
        list(read_source(muge, options=SourceOptions(split="train")).images(lambda _: None))
    locked = bytearray(whole)
    for start in (b"PK\x01\x02", b"PK\x03\x04"):  # the flag "encrypted" of every member
        flag = 8 if start == b"PK\x01\x02" else 6
        place = -1
        while (place := whole.find(start, place + 1)) >= 0:
            locked[place + flag] |= 1
    muge.write_bytes(locked)
    with pytest.raises(SourceError, match="the zip has a password"):
        read_source(muge, options=SourceOptions(split="train"))


def test_names_inside_a_zip_are_never_paths(animals: Path, tmp_path: Path, raw: Any) -> None:
    path = tmp_path / "deep" / "x.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for file in animals.iterdir():
            archive.write(file, f"../../{file.name}")
    before = sorted(tmp_path.rglob("*"))
    images, texts, bad = raw.read_all(read_source(path))
    assert (len(images), len(texts), bad) == (4, 5, [])
    assert sorted(tmp_path.rglob("*")) == before
