"""Runs of known outcome: real stores of tiny pictures, embeddings written by hand, no model."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cnclip.evaluation.chapters.blocks import Cell, Chapter, Grid, Paragraph, Pictures, Words
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.per_query import both_directions
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

Row = tuple[str, bytes, Sequence[str]]


def landscape(seed: int, form: str = "PNG", size: tuple[int, int] = (96, 72), **options: object) -> bytes:
    """The file of a smooth picture that no other seed gives, as photographs are."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture
def photo() -> Callable[..., bytes]:
    return landscape


@pytest.fixture
def blank() -> Callable[[str], bytes]:
    """The file of a picture of one colour."""

    def paint(colour: str) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
        return buffer.getvalue()

    return paint


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[[Sequence[Row]], StoreReader]]:
    """A store of (id, picture file, captions) rows; captions are numbered in the order of the rows."""
    opened: list[StoreReader] = []
    numbers = itertools.count()

    def make(rows: Sequence[Row]) -> StoreReader:
        folder = tmp_path / f"源{next(numbers)}"
        folder.mkdir()
        source = folder
        for image_id, data, _ in rows:
            (folder / image_id).write_bytes(data)
        if all(captions for *_, captions in rows):
            source = folder / "rows.jsonl"
            lines = [{"image": image_id, "captions": list(captions)} for image_id, _, captions in rows]
            written = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
            source.write_text(written + "\n", encoding="utf-8")
        else:  # pictures and text files beside each other, in the order of their names
            for image_id, _, captions in rows:
                if captions:
                    (folder / image_id).with_suffix(".txt").write_text("\n".join(captions), encoding="utf-8")
        store = tmp_path / f"店{next(numbers)}"
        build_store(read_source(source), store)
        opened.append(StoreReader(store))
        return opened[-1]

    yield make
    for reader in opened:
        reader.close()


@pytest.fixture
def measure() -> Callable[[StoreReader, npt.ArrayLike, npt.ArrayLike], Evidence]:
    """A run of a store with given rows, which are brought to unit length."""

    def unit(rows: npt.ArrayLike) -> npt.NDArray[np.float32]:
        given = np.asarray(rows, dtype=np.float64)
        return (given / np.linalg.norm(given, axis=1, keepdims=True)).astype(np.float32)

    def run(store: StoreReader, image_rows: npt.ArrayLike, text_rows: npt.ArrayLike) -> Evidence:
        images = EmbeddingTable(list(store.image_ids()), unit(image_rows))
        texts = EmbeddingTable(list(store.text_ids()), unit(text_rows))
        positives = store_positives(store)
        result = recall_at_k(images.rows, texts.rows, positives)
        queries = both_directions(result, positives, image_ids=images.ids, text_ids=texts.ids)
        return Evidence(store, images, texts, positives, result, queries, Draws(0, 7))

    return run


@pytest.fixture
def inspect() -> Callable[[Chapter], int]:
    """Checks that a chapter is whole and in both languages, and counts its pictures."""

    def said(cell: Cell) -> None:
        assert not isinstance(cell, Words) or (cell.zh.strip() and cell.en.strip())

    def look(chapter: Chapter) -> int:
        said(chapter.title)
        pictures = 0
        for block in chapter.blocks:
            if isinstance(block, Paragraph):
                said(block.text)
            elif isinstance(block, Grid):
                for cell in [block.title, *block.header, *itertools.chain(*block.rows)]:
                    said(cell)
                assert all(len(row) == len(block.header) for row in block.rows)
            elif isinstance(block, Pictures):
                said(block.title)
                lengths = {len(answers) for answers in block.models.values()}
                assert lengths == {len(block.headings)} if block.headings else len(lengths) == 1
                pictures += sum(len(one.pictures) for answers in block.models.values() for one in answers)
        return pictures

    return look
