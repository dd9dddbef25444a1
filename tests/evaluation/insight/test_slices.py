"""From a model's ranks to the findings and the chapter: a store whose hard queries are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnclip.evaluation.chapters.blocks import Bars, Chapter, Grid, Paragraph, shown
from cnclip.evaluation.embed import EmbeddingTable
from cnclip.evaluation.evaluate import store_positives
from cnclip.evaluation.insight import slices as slices_module
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.slices import SliceFindings, find_slices
from cnclip.evaluation.insight.slices_chapter import slices_chapter
from cnclip.evaluation.per_query import both_directions
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.rows import Rows
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

PICTURES = 90


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreReader:
    """90 pictures of two folders with two captions each: one with a colour, one without; traditional ones,
    full-width digits, emoji; and a caption that belongs to no picture."""
    folder = tmp_path_factory.mktemp("切片")
    lines = []
    for number in range(PICTURES):
        side = 100 if number % 3 else 400
        name = f"{'街景' if number < 45 else '商品'}/{number}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", (side, side), number).save(folder / name)
        plain = f"第{number}个人在跑步" if number % 2 else f"２０２６年的貓{number}😀"
        captions = [f"穿红色衣服的女孩{number}", plain]
        lines.append(json.dumps({"image": name, "captions": captions}, ensure_ascii=False))
    (folder / "源.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_store(read_source(folder / "源.jsonl"), folder / "库")
    return StoreReader(folder / "库")


def unit(rows: Rows) -> Rows:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_evidence(store: StoreReader, *, hard: str = "红色", samples: int = 200, seed: int = 0) -> Evidence:
    """A model that finds every picture but for captions that hold a word."""
    rng = np.random.default_rng(3)
    images = unit(rng.normal(size=(store.image_count, 32)))
    texts = np.empty((store.text_count, 32))
    positives = store_positives(store)
    for image, text in positives:
        noise = 4.0 if hard in store.text(int(text)).caption else 0.2
        texts[text] = images[image] + noise * unit(rng.normal(size=(1, 32)))[0]
    image_table = EmbeddingTable(list(store.image_ids()), images)
    text_table = EmbeddingTable(list(store.text_ids()), unit(texts))
    result = recall_at_k(image_table.rows, text_table.rows, positives)
    queries = both_directions(result, positives, image_ids=image_table.ids, text_ids=text_table.ids)
    return Evidence(store, image_table, text_table, positives, result, queries, Draws(samples, seed))


@pytest.fixture(scope="module")
def found(store: StoreReader) -> SliceFindings:
    return find_slices(make_evidence(store))


def test_the_slice_that_the_model_fails_is_worse_and_others_are_not_blamed(found: SliceFindings) -> None:
    of = {f"{one.family}/{one.key}": one for one in found.t2i.slices}
    assert of["says/colour"].verdict == "worse" and of["says/colour"].queries == PICTURES
    assert of["says/colour"].groups == PICTURES
    assert found.t2i.alike["form/digits"].zh == "阿拉伯数字" and "form/digits" not in of
    assert {of[name].verdict for name in ("size/64–127", "source/街景", "source/商品")} == {"same"}
    assert of["form/traditional"].queries == of["form/emoji"].queries == of["form/full-width"].queries == 45
    assert {one.family for one in found.i2t.slices} == {"source", "size"}
    assert found.i2t.alike["captions/2"].zh == "2 条"


def test_numbers_of_a_slice_are_those_of_its_queries(store: StoreReader, found: SliceFindings) -> None:
    evidence = make_evidence(store)
    ranks = evidence.result.t2i.ranks
    red = np.array(["红色" in caption for caption in store.captions()])
    colour = next(one for one in found.t2i.slices if one.key == "colour")
    recalls = {k: 100 * (ranks[red] <= k).mean() for k in (1, 5, 10)}
    rest = np.mean([100 * (ranks[~red] <= k).mean() for k in (1, 5, 10)])
    assert colour.r1 == pytest.approx(recalls[1]) and colour.r10 == pytest.approx(recalls[10])
    assert colour.mean_recall == pytest.approx(np.mean(list(recalls.values())))
    assert colour.difference == pytest.approx(colour.mean_recall - rest)
    assert colour.median_rank == np.median(ranks[red])
    assert found.t2i.overall.mean_recall == pytest.approx(evidence.result.t2i.mean_recall)
    assert found.i2t.overall.r1 == pytest.approx(evidence.result.i2t.recall[1])


def test_families_that_are_ranges_hold_every_query_once(found: SliceFindings) -> None:
    for direction, families in (
        (found.t2i, ("length", "words", "rarity", "source", "size")),
        (found.i2t, ("size",)),
    ):
        for family in families:
            held = sum(one.queries for one in direction.slices if one.family == family)
            assert held == direction.asked or any(name.startswith(f"{family}/") for name in direction.alike)


def test_the_same_evidence_gives_the_same_findings(store: StoreReader, found: SliceFindings) -> None:
    again = find_slices(make_evidence(store))
    assert json.dumps(again.to_json()) == json.dumps(found.to_json())


def test_findings_are_json_with_null_for_what_is_not_known(found: SliceFindings) -> None:
    text = json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False)
    value = json.loads(text)
    colour = next(one for one in value["t2i"]["slices"] if one["key"] == "colour")
    assert colour["shown"] == {"zh": "颜色", "en": "a colour"} and colour["exact"] is False
    assert colour["corrected"] >= colour["p"] and colour["verdict"] == "worse"
    assert set(colour["intervals"]) == {"r1", "r10", "mean_recall", "difference"}
    assert value["words"]["worst"][0]["median_rank"] is None
    assert value["rarity"] == {"basis": "own", "captions": 180, "of": 180}
    assert value["pictures"] == {"looked_at": 90, "of": 90}


def test_without_draws_there_are_verdicts_but_no_intervals(store: StoreReader) -> None:
    found = find_slices(make_evidence(store, samples=0))
    colour = next(one for one in found.t2i.slices if one.key == "colour")
    assert colour.verdict == "worse" and not colour.spans and not found.t2i.overall.spans
    for row in grids(slices_chapter({"甲": found}))[0].rows:
        assert "[" not in shown(row[5]) and "[" not in shown(row[7])


def test_queries_without_a_picture_are_left_out(tmp_path: Path, store: StoreReader) -> None:
    folder = tmp_path / "多"
    folder.mkdir()
    Image.new("L", (8, 8)).save(folder / "a.png")
    (folder / "a.txt").write_text("一只狗", encoding="utf-8")
    Image.new("L", (9, 9)).save(folder / "b.png")
    build_store(read_source(folder), tmp_path / "库")
    evidence = make_evidence(StoreReader(tmp_path / "库"))
    found = find_slices(evidence)
    assert (found.t2i.asked, found.i2t.asked) == (1, 1)
    assert not found.t2i.slices and not found.i2t.slices
    assert "分不出类" in text_of(slices_chapter({"": found}))


def test_of_many_queries_a_sample_is_looked_at_and_said(
    store: StoreReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices_module, "MOST_QUERIES", 100)
    found = find_slices(make_evidence(store))
    assert (found.t2i.overall.queries, found.t2i.asked) == (100, 180)
    assert found.i2t.overall.queries == found.i2t.asked == 90
    assert "从 180 条查询里抽了 100 条" in text_of(slices_chapter({"": found}))


def test_training_stores_decide_what_is_unseen(store: StoreReader) -> None:
    found = find_slices(make_evidence(store), seen=[store])
    assert found.rarity_basis == "seen" and found.rarity_captions == 180
    assert not any(one.key == "0" for one in found.t2i.slices if one.family == "rarity")
    assert "训练数据的 180 条描述" in text_of(slices_chapter({"": found}))


def grids(chapter: Chapter) -> list[Grid]:
    return [block for block in chapter.blocks if isinstance(block, Grid)]


def text_of(chapter: Chapter) -> str:
    return "\n".join(block.text.both for block in chapter.blocks if isinstance(block, Paragraph))


def test_the_chapter_of_one_model_says_what_is_worse_and_what_to_do(found: SliceFindings) -> None:
    chapter = slices_chapter({"小模型": found})
    said = text_of(chapter)
    assert "可靠地更差" in said and "Reliably worse" in said and "颜色*" in said
    assert "这些内容更差：颜色、女性、小孩。用 cnclip eval composition" in said
    assert "小模型" not in said, "one model needs no name"
    bars = [block for block in chapter.blocks if isinstance(block, Bars)]
    assert len(bars) == 1 and bars[0].origin == 0
    differences = {one.difference for one in found.t2i.slices}
    assert all(bar.value in differences for bar in bars[0].bars)
    red = next(bar for bar in bars[0].bars if shown(bar.label).startswith("内容：颜色"))
    assert red.trusted and red.low < red.value < red.high
    titles = [grid.title.zh for grid in grids(chapter)]
    assert titles[0] == "文搜图：按词数" and titles[-2:] == ["最难的词", "最容易的词"]
    assert {"文搜图：按内容", "文搜图：按写法", "文搜图：按图片来源", "图搜文：按短边"} <= set(titles)
    for grid in grids(chapter):
        assert all(len(row) == len(grid.header) for row in grid.rows)
        grid.table()


def test_two_models_stand_side_by_side(store: StoreReader, found: SliceFindings) -> None:
    other = find_slices(make_evidence(store, hard="😀"))
    chapter = slices_chapter({"甲": found, "乙": other})
    says = next(grid for grid in grids(chapter) if grid.title.zh == "文搜图：按内容")
    assert [cell.zh for cell in says.header] == ["内容", "查询", "图片", "甲", "甲 差", "乙", "乙 差"]
    row = next(row for row in says.rows if shown(row[0]).startswith("颜色"))
    assert "更差" in shown(row[4]) and "更好" in shown(row[6])
    bars = [block for block in chapter.blocks if isinstance(block, Bars)]
    assert len(bars) == 2 and bars[0].ends == bars[1].ends is not None
    assert [grid.title.zh for grid in grids(chapter)[-4:]] == [
        "甲：最难的词",
        "甲：最容易的词",
        "乙：最难的词",
        "乙：最容易的词",
    ]
    assert "甲：文搜图" in text_of(chapter) and "乙：文搜图" in text_of(chapter)
