"""Tiny real sources: pictures drawn on the spot, and the files that users bring."""

from __future__ import annotations

import base64
import io
import json
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lmdb
import pytest
from PIL import Image

from cnclip.stores.raw import BadRow, RawImage, RawText, Source, read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store


def draw(number: int, *, size: int = 8, form: str = "PNG") -> bytes:
    """A picture that no other number gives."""
    image = Image.new("RGB", (size, size), (number % 256, number // 256 % 256, 77))
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def write_cn_clip(
    folder: Path,
    images: Sequence[tuple[Any, bytes]],
    texts: Sequence[dict[str, Any]],
    split: str = "train",
) -> Path:
    """The two files of a split; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{image_id}\t{base64.b64encode(data).decode()}\n" for image_id, data in images]
    (folder / f"{split}_imgs.tsv").write_text("".join(lines), encoding="utf-8")
    rows = [json.dumps(text, ensure_ascii=False) + "\n" for text in texts]
    (folder / f"{split}_texts.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def text_row(text_id: Any, text: Any, image_ids: Any) -> dict[str, Any]:
    return {"text_id": text_id, "text": text, "image_ids": image_ids}


def write_lmdb(folder: Path, data: Path, split: str = "train") -> Path:
    """What cn_clip's build_lmdb_dataset.py makes of `{split}_imgs.tsv` and `{split}_texts.jsonl`."""
    root = folder / split
    for part in ("pairs", "imgs"):
        (root / part).mkdir(parents=True)
    pairs = lmdb.open(str(root / "pairs"), map_size=1 << 24)
    written = 0
    with pairs.begin(write=True) as transaction:
        for line in (data / f"{split}_texts.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for image_id in row["image_ids"]:
                record = pickle.dumps((image_id, row["text_id"], row["text"]))
                transaction.put(str(written).encode(), record)
                written += 1
        transaction.put(b"num_samples", str(written).encode())
    pairs.close()
    images = lmdb.open(str(root / "imgs"), map_size=1 << 24)
    lines = (data / f"{split}_imgs.tsv").read_text(encoding="utf-8").splitlines()
    with images.begin(write=True) as transaction:
        for line in lines:
            image_id, encoded = line.split("\t")
            transaction.put(image_id.encode(), encoded.encode())
        transaction.put(b"num_images", str(len(lines)).encode())
    images.close()
    return root


def write_tar(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of plain files, compressed where its name ends in gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def read_all(source: Source) -> tuple[list[RawImage], list[RawText], list[BadRow]]:
    """Everything that a source yields, and everything that it reports."""
    bad: list[BadRow] = []
    return list(source.images(bad.append)), list(source.texts(bad.append)), bad


@pytest.fixture
def raw() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(
        draw=draw,
        write_cn_clip=write_cn_clip,
        write_lmdb=write_lmdb,
        write_tar=write_tar,
        text_row=text_row,
        read_all=read_all,
    )


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """A cn_clip split of four pictures, five captions, six pairs, one unlabelled query."""
    return write_cn_clip(
        tmp_path / "animals",
        [(number, draw(number)) for number in (11, 12, 13, 14)],
        [
            text_row(1, "一只猫", [11]),
            text_row(2, "两只狗在草地上", [12, 13]),
            text_row(3, "猫和狗", [11, 12, 13]),
            text_row(4, "没有图片的查询", []),
            text_row(5, "１２３，“全角”與繁體🐼𠮷", [14]),
        ],
    )


@pytest.fixture
def animal_store(animals: Path, tmp_path: Path) -> Path:
    path = tmp_path / "store"
    build_store(read_source(animals), path)
    return path


@pytest.fixture
def sharded_store(tmp_path: Path) -> Path:
    """Twenty pictures of some KB in shards of three, forty captions."""
    folder = write_cn_clip(
        tmp_path / "twenty",
        [(f"图{number}", draw(number) + bytes([number]) * 5000) for number in range(20)],
        [text_row(number, f"第{number}句", [f"图{number % 20}"]) for number in range(40)],
    )
    path = tmp_path / "sharded"
    build_store(read_source(folder), path, options=BuildOptions(shard_images=3))
    return path


@pytest.fixture
def open_store() -> Any:
    """StoreReader; what it opens is closed when the test ends."""
    opened: list[StoreReader] = []

    def open_one(path: Path) -> StoreReader:
        opened.append(StoreReader(path))
        return opened[-1]

    yield open_one
    for reader in opened:
        reader.close()
