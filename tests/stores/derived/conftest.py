"""Stores of pictures that look like photographs, with copies among them."""

from __future__ import annotations

import io
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
from cnclip.stores.writer import build_store
from cnclip.text.normalize import normalize_caption
from cnclip.text.segment import segment_words
from cnclip.text.wordpiece import UNK_ID, piece_ids

Text = tuple[str, str, Sequence[str]]


def landscape(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A smooth picture that no other seed gives, as photographs are."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def photo_file(seed: int, form: str = "PNG", size: tuple[int, int] = (96, 72), **options: object) -> bytes:
    """`landscape` as a file's bytes."""
    buffer = io.BytesIO()
    landscape(seed, size).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture
def photo() -> Callable[..., bytes]:
    return photo_file


@pytest.fixture
def tools() -> Tools:
    return Tools(open_image, to_rgb, normalize_caption, piece_ids, segment_words, UNK_ID)


@pytest.fixture
def open_reader() -> Iterator[Callable[[Path], StoreReader]]:
    """StoreReader; what it opens is closed when the test ends."""
    opened: list[StoreReader] = []

    def open_one(path: Path) -> StoreReader:
        opened.append(StoreReader(path))
        return opened[-1]

    yield open_one
    for reader in opened:
        reader.close()


@pytest.fixture
def make_store(tmp_path: Path, open_reader: Callable[[Path], StoreReader]) -> Callable[..., StoreReader]:
    """A store of pictures (id -> file) and captions (id, text, picture ids), which are not opened."""

    def make(name: str, images: dict[str, bytes], texts: Sequence[Text]) -> StoreReader:
        import base64

        folder = tmp_path / f"{name}-源"
        folder.mkdir(parents=True)
        rows = [f"{image_id}\t{base64.b64encode(data).decode()}\n" for image_id, data in images.items()]
        (folder / "all_imgs.tsv").write_text("".join(rows), encoding="utf-8")
        with open(folder / "all_texts.jsonl", "w", encoding="utf-8") as file:
            for text_id, text, image_ids in texts:
                row = {"text_id": text_id, "text": text, "image_ids": list(image_ids)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        build_store(read_source(folder), tmp_path / name)
        return open_reader(tmp_path / name)

    return make


@pytest.fixture
def albums(make_store: Callable[..., StoreReader]) -> StoreReader:
    """30 pictures: 0-19 differ; 20-23 repeat 0-3 as bytes, 24-26 are recompressed, 27-29 same pixels."""
    images = {f"图{number}": photo_file(number) for number in range(20)}
    images |= {f"图{20 + number}": photo_file(number) for number in range(4)}
    images |= {f"图{24 + number}": photo_file(4 + number, "JPEG", quality=60) for number in range(3)}
    images |= {f"图{27 + number}": photo_file(7 + number, "PNG", compress_level=1) for number in range(3)}
    texts: list[Text] = [(f"文{number}", f"第{number}张照片", [f"图{number}"]) for number in range(30)]
    texts += [("共", "这两张都是山🐼", ["图10", "图11"]), ("空", "没有图片的查询", [])]
    return make_store("相册", images, texts)


@pytest.fixture
def rows_of() -> Callable[[StoreReader], tuple[dict[str, bytes], dict[str, tuple[str, tuple[str, ...]]]]]:
    """Everything that a store holds: picture id -> bytes, caption id -> (caption, picture ids)."""

    def rows(reader: StoreReader) -> tuple[dict[str, bytes], dict[str, tuple[str, tuple[str, ...]]]]:
        images = [reader.image(index) for index in range(reader.image_count)]
        texts = [reader.text(index) for index in range(reader.text_count)]
        return (
            {stored.image_id: stored.image for stored in images},
            {stored.text_id: (stored.caption, stored.image_ids) for stored in texts},
        )

    return rows
