"""Both findings from a real store with made-up embeddings, and what their chapters say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cnclip.evaluation.chapters.blocks import (
    Cell,
    Chapter,
    Curves,
    Grid,
    Histogram,
    Paragraph,
    Pictures,
    Words,
)
from cnclip.evaluation.chapters.html import write_report_page
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.geometry import GeometryFindings, find_geometry
from cnclip.evaluation.insight.geometry_chapter import geometry_chapter
from cnclip.evaluation.insight.neighbours import find_neighbours
from cnclip.evaluation.insight.threshold import ThresholdFindings, find_threshold
from cnclip.evaluation.insight.threshold_chapter import threshold_chapter
from cnclip.evaluation.per_query import both_directions
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.rows import Rows
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

PICTURES = 60
HUB = "图 07.png"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> StoreReader:
    """Sixty pictures of two captions each, and one without any."""
    root = tmp_path_factory.mktemp("六十 张图")
    image = (folder / "红圆.png").read_bytes()
    for number in range(PICTURES):
        (root / f"图 {number:02}.png").write_bytes(image)
        captions = f"第{number}张图片\n编号是{number}的图"
        (root / f"图 {number:02}.txt").write_text(captions, encoding="utf-8")
    (root / "没有文字.png").write_bytes(image)
    path = tmp_path_factory.mktemp("stores") / "很多"
    build_store(read_source(root), path)
    return StoreReader(path)


def unit(rows: np.ndarray) -> Rows:
    unit_rows: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit_rows


def evidence(store: StoreReader, *, noise: float, samples: int = 200) -> Evidence:
    """Captions near their pictures; one picture, HUB, near all captions."""
    rng = np.random.default_rng(8)
    positives = store_positives(store)
    pictures = rng.standard_normal((store.image_count, 32))
    captions = rng.standard_normal((store.text_count, 32)) * noise
    captions[positives[:, 1]] += pictures[positives[:, 0]]
    ids = list(store.image_ids())
    if HUB in ids:
        pictures[ids.index(HUB)] = common = rng.standard_normal(32)
        captions += 0.6 * common
    images = EmbeddingTable(ids, unit(pictures))
    texts = EmbeddingTable(list(store.text_ids()), unit(captions))
    result = recall_at_k(images.rows, texts.rows, positives)
    queries = both_directions(result, positives, image_ids=images.ids, text_ids=texts.ids)
    return Evidence(store, images, texts, positives, result, queries, Draws(samples, 0))


def find(one: Evidence) -> tuple[GeometryFindings, ThresholdFindings]:
    neighbours = find_neighbours(one)
    return find_geometry(one, neighbours), find_threshold(one, neighbours)


@pytest.fixture(scope="module")
def good(many: StoreReader) -> tuple[GeometryFindings, ThresholdFindings]:
    return find(evidence(many, noise=0.6))


@pytest.fixture(scope="module")
def poor(many: StoreReader) -> tuple[GeometryFindings, ThresholdFindings]:
    return find(evidence(many, noise=30.0))


def all_words(chapter: Chapter) -> Iterator[Cell]:
    yield chapter.title
    yield from [chapter.intro] if chapter.intro else []
    for block in chapter.blocks:
        match block:
            case Paragraph():
                yield block.text
            case Grid():
                assert all(len(row) == len(block.header) for row in block.rows), block.title
                yield from [block.title, *block.header, *(cell for row in block.rows for cell in row)]
            case Curves():
                for points in block.series.values():
                    assert [x for x, _ in points] == sorted(x for x, _ in points)
                    assert all(np.isfinite(y) for _, y in points)
                yield from [block.title, block.x_label, block.y_label, *block.names.values()]
            case Histogram():
                assert all(len(shares) == len(block.edges) - 1 for _, shares in block.series)
                yield from [block.title, block.x_label, *(name for name, _ in block.series)]
            case Pictures():
                yield from [block.title, *(one.query for shown in block.models.values() for one in shown)]
        yield from [block.note] if getattr(block, "note", None) else []


def assert_readable(chapter: Chapter) -> str:
    """Both languages everywhere, no NaN; all of it in English."""
    text = []
    for cell in all_words(chapter):
        if isinstance(cell, Words):
            assert cell.zh
            assert cell.en
        text.append(cell.en if isinstance(cell, Words) else cell)
        assert "nan" not in text[-1].lower().split()
    return "\n".join(text)


def test_a_good_model_has_a_threshold_that_is_worth_it(good: tuple[object, ThresholdFindings]) -> None:
    found = good[1]
    assert (found.captions, found.groups, found.gallery) == (2 * PICTURES, PICTURES, PICTURES + 1)
    assert found.first_right > 90
    best = found.suggested
    assert best is not None
    assert best.useful
    assert best.figures.balance > 80
    assert best.figures.recall <= found.first_right
    assert best.intervals["recall"].low <= best.figures.recall <= best.intervals["recall"].high
    assert all(goal.reached is not None for goal in found.goals if goal.setting == "as they are")
    said = assert_readable(threshold_chapter({"好模型": found}))
    assert f"suggested threshold {best.threshold:.4f} ({PICTURES + 1} pictures)" in said


def test_a_poor_model_is_given_none(poor: tuple[object, ThresholdFindings]) -> None:
    found = poor[1]
    assert found.suggested is not None
    assert not found.suggested.useful
    assert found.by_size.rejections == ()
    said = assert_readable(threshold_chapter({"差模型": found}))
    assert "no threshold is of use" in said
    assert "80, 90, 95\nnot reachable" in said


def test_a_picture_near_everything_is_found_out(good: tuple[GeometryFindings, object]) -> None:
    found = good[0]
    worst = found.hub_pictures[0]
    assert worst.image_id == HUB
    assert worst.hub.count - worst.hub.right > 10
    assert worst.picture.label in ("第7张图片", "编号是7的图")
    assert len(worst.wanted) == 3
    assert all(one.correct for one in worst.wanted)
    asked = {one.label for one in worst.wanted}
    assert not asked & {"第7张图片", "编号是7的图"}
    said = assert_readable(geometry_chapter({"好模型": found}))
    assert "Text → image: there are hubs" in said
    gallery = next(one for one in geometry_chapter({"好模型": found}).blocks if isinstance(one, Pictures))
    heading = gallery.heading(0)
    assert isinstance(heading, Words) and "among" not in heading.zh, "one language in each"
    told = f"{HUB}: among the first 10 of {worst.hub.count} queries, {worst.hub.right} of them right"
    assert heading.en.startswith(told)
    assert "What to do about hubs" in said


def test_geometry_counts_labelled_queries_and_all_items(good: tuple[GeometryFindings, object]) -> None:
    found = good[0]
    assert (found.pictures.queries, found.pictures.items) == (2 * PICTURES, PICTURES + 1)
    assert (found.captions.queries, found.captions.items) == (PICTURES, 2 * PICTURES)
    assert found.modality.pairs == 2 * PICTURES
    assert found.modality.matching > found.modality.others


def test_findings_are_plain_json_and_the_same_each_time(many: StoreReader) -> None:
    texts = [
        json.dumps([one.to_json() for one in find(evidence(many, noise=0.6))], allow_nan=False)
        for _ in range(2)
    ]
    assert texts[0] == texts[1]


def test_two_models_stand_side_by_side(
    good: tuple[GeometryFindings, ThresholdFindings],
    poor: tuple[GeometryFindings, ThresholdFindings],
    tmp_path: Path,
) -> None:
    chapters = [
        geometry_chapter({"好": good[0], "差": poor[0]}),
        threshold_chapter({"好": good[1], "差": poor[1]}),
    ]
    for chapter in chapters:
        said = assert_readable(chapter)
        assert "好" in said
        assert "差" in said
    write_report_page(tmp_path / "页.html", Words("试", "trial"), chapters)
    assert (tmp_path / "页.html").stat().st_size > 10_000


def test_of_a_dozen_pictures_nothing_is_concluded(store: StoreReader) -> None:
    geometry, threshold = find(evidence(store, noise=0.6))
    assert threshold.suggested is None
    assert threshold.goals == ()
    assert "fewer than 20" in assert_readable(threshold_chapter({"小": threshold}))
    assert "too few to tell" in assert_readable(geometry_chapter({"小": geometry}))
    json.dumps([geometry.to_json(), threshold.to_json()], allow_nan=False)


def test_one_picture_with_its_captions_is_no_gallery(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "一张").mkdir()
    (tmp_path / "一张" / "图.png").write_bytes((folder / "红圆.png").read_bytes())
    (tmp_path / "一张" / "图.txt").write_text("红圆\n一个圆", encoding="utf-8")
    build_store(read_source(tmp_path / "一张"), tmp_path / "库")
    geometry, threshold = find(evidence(StoreReader(tmp_path / "库"), noise=0.6))
    assert threshold.spreads is None
    chapters = [geometry_chapter({"一": geometry}), threshold_chapter({"一": threshold})]
    for chapter in chapters:
        assert_readable(chapter)
    json.dumps([geometry.to_json(), threshold.to_json()], allow_nan=False)
    write_report_page(tmp_path / "页.html", Words("试", "trial"), chapters)


def test_without_samples_there_are_figures_and_no_intervals(many: StoreReader) -> None:
    found = find(evidence(many, noise=0.6, samples=0))[1]
    assert found.suggested is not None
    assert found.suggested.intervals == {}
    assert found.suggested.useful
    assert "[" not in assert_readable(threshold_chapter({"好": found})).split("In square brackets")[0]
