"""Stores of tiny pictures with the captions that a test names, and what a process holds."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from PIL import Image

from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

MakeStore = Callable[[str, Mapping[str, Sequence[str]]], StoreReader]


def picture(number: int) -> bytes:
    """A PNG of one colour with a light left half; no other number gives it."""
    image = Image.new("RGB", (8, 8), (number % 128, number // 128 % 256, number // 32768))
    image.paste((255, 255, 255), (0, 0, 4, 8))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_store(folder: Path, captions: Mapping[str, Sequence[str]], first: int = 0) -> StoreReader:
    """A store of one picture for each id, with these captions; `first` numbers the pictures."""
    source = folder / "source"
    source.mkdir(parents=True)
    with open(source / "train_imgs.tsv", "w", encoding="utf-8") as images:
        for number, image_id in enumerate(captions):
            images.write(f"{image_id}\t{base64.b64encode(picture(first + number)).decode()}\n")
    with open(source / "train_texts.jsonl", "w", encoding="utf-8") as texts:
        rows = ((image_id, text) for image_id, own in captions.items() for text in own)
        for number, (image_id, text) in enumerate(rows):
            row = {"text_id": number, "text": text, "image_ids": [image_id]}
            texts.write(json.dumps(row, ensure_ascii=False) + "\n")
    build_store(read_source(source), folder / "store")
    return StoreReader(folder / "store")


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Makes a store under a name from {image id: captions}."""
    return lambda name, captions: write_store(tmp_path / name, captions)


@pytest.fixture(scope="session")
def write_tiny_store() -> Callable[..., StoreReader]:
    """`write_store`, for fixtures that live longer than a test."""
    return write_store


def anonymous_bytes(process: psutil.Process) -> int:
    """Memory of a process that no file stands behind: what a leak fills."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


@pytest.fixture
def holdings() -> Callable[[], list[tuple[int, int]]]:
    """(anonymous bytes, open files) of this process and of each loader worker, when called."""

    def measure() -> list[tuple[int, int]]:
        me = psutil.Process()
        found = [me, *sorted(me.children(recursive=True), key=lambda child: child.pid)]
        return [(anonymous_bytes(process), process.num_fds()) for process in found]

    return measure
