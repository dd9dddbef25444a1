"""Stores for the doctor: real pictures, real captions, and the tools that the command gives it."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnclip.images.decode import open_image, to_rgb
from cnclip.stores.doctor import Tools
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words
from cnclip.text.wordpiece import UNK_ID, piece_ids

Row = tuple[str, bytes, Sequence[str]]


def landscape(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A smooth picture that no other seed gives, as photographs are."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Callable[[int], Image.Image]:
    return landscape


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def tools() -> Tools:
    return Tools(open_image, to_rgb, normalize_caption, piece_ids, segment_words, UNK_ID)


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[..., StoreReader]]:
    """A store of (id, picture file, captions) rows; the pictures are not opened when it is built."""
    opened: list[StoreReader] = []
    numbers = itertools.count()

    def make(rows: Sequence[Row], name: str = "") -> StoreReader:
        folder = tmp_path / f"source{next(numbers)}"
        folder.mkdir()
        lines = []
        for image_id, data, captions in rows:
            (folder / image_id).write_bytes(data)
            lines.append(json.dumps({"image": image_id, "captions": list(captions)}, ensure_ascii=False))
        (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        path = tmp_path / (name or f"store{next(numbers)}")
        build_store(read_source(folder / "rows.jsonl"), path, options=BuildOptions(on_bad="skip"))
        opened.append(StoreReader(path))
        return opened[-1]

    yield make
    for reader in opened:
        reader.close()
