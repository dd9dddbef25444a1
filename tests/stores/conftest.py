"""Tiny real sources: pictures drawn on the spot, and the files that users bring."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def read_all(source: Source) -> tuple[list[RawImage], list[RawText], list[BadRow]]:
    """Everything that a source yields, and everything that it reports."""
    bad: list[BadRow] = []
    return list(source.images(bad.append)), list(source.texts(bad.append)), bad


@pytest.fixture
def raw() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(draw=draw, write_cn_clip=write_cn_clip, text_row=text_row, read_all=read_all)


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
