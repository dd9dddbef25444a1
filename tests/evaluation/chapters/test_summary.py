"""What the first chapters say: numbers as they are in results.json, differences in words, curves by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnclip.evaluation.chapters.blocks import Curves, Grid, Paragraph
from cnclip.evaluation.chapters.recall_curves import chance_points, curves_chapter, depth_for, recall_points
from cnclip.evaluation.chapters.summary import differences_chapter, summary_chapter
from cnclip.evaluation.retrieval import expected_recall, recall_at_k
from cnclip.evaluation.statistics import Difference, Interval
from cnclip.evaluation.uncertainty import Comparison


def direction(r1: float, **others: Any) -> dict[str, Any]:
    return {
        "r1": r1, "r5": 50.0, "mean_recall": 40.0, "median_rank": 3.0, "mrr": 30.0, "map": 30.0,
        "ndcg10": 35.0, "queries": 90, "unlabelled": 0, "gallery": 70, "chance": {"r1": 1.43, "r5": 7.1},
        "intervals": {"r1": [r1 - 2, r1 + 2]}, **others,
    }  # fmt: skip


def run(r1: float, **others: Any) -> dict[str, Any]:
    return {"mean_recall": r1, "text_to_image": direction(r1, **others), "image_to_text": direction(r1 / 2)}


def sentences(chapter: Any) -> list[str]:
    return [block.text.both for block in chapter.blocks if isinstance(block, Paragraph)]


def test_the_main_table_has_chance_first_and_intervals_beside_numbers() -> None:
    chapter = summary_chapter({"甲": run(20.0), "乙": run(30.0)})
    grid = chapter.blocks[-1]
    assert isinstance(grid, Grid)
    assert [cell.en for cell in grid.header[:4]] == ["Direction", "Model", "R@1", "R@5"]
    rows = [[cell if isinstance(cell, str) else cell.zh for cell in row[:4]] for row in grid.rows]
    assert rows == [
        ["文搜图", "随机", "1.4", "7.1"],
        ["文搜图", "甲", "20.0 [18.0, 22.0]", "50.0"],
        ["文搜图", "乙", "30.0 [28.0, 32.0]", "50.0"],
        ["图搜文", "随机", "1.4", "7.1"],
        ["图搜文", "甲", "10.0 [8.0, 12.0]", "50.0"],
        ["图搜文", "乙", "15.0 [13.0, 17.0]", "50.0"],
    ]


def test_the_sentences_name_the_sizes_the_best_model_and_what_was_left_out() -> None:
    said = sentences(summary_chapter({"甲": run(20.0), "乙": run(30.0, unlabelled=4)}))
    assert "90 条中文文本在 70 张图片" in said[0] and "90 pictures among 70 texts" in said[0]
    assert not any("Left out" in one for one in said), "the first run says what is left out"
    assert said[1].startswith(
        "平均召回率最高的是 乙：文搜图时，正确图片排第一的占 30.0%（随机 1.4%），正确图片在前 5 个"
    )
    assert "乙 has the highest mean recall: from text to image" in said[1]
    assert "30.0 % in first place (chance 1.4 %)" in said[1]
    said = sentences(summary_chapter({"甲": run(20.0, unlabelled=4, queries=19)}))
    assert "4 条文本，0 张图片" in said[1] and said[2].startswith("文搜图时，正确图片排第一")
    assert " From text to image" in said[2] and "among the first 3." in said[2]
    assert "prove nothing" in said[3]


def test_a_large_chance_is_written_as_people_write_it() -> None:
    said = sentences(summary_chapter({"甲": run(100.0, chance={"r1": 100.0, "r5": 12.8})}))
    assert "（随机 100%）" in said[1] and "（随机 13%）" in said[1] and "e+" not in said[1]


def test_one_k_is_spoken_of_once() -> None:
    found = direction(5.0)
    del found["r1"]
    said = sentences(
        summary_chapter({"甲": {"mean_recall": 5.0, "text_to_image": found, "image_to_text": found}})
    )
    assert said[1].count("%（随机") == 1 and "前 5 个" in said[1]


def test_the_count_of_cn_clip_has_a_table_of_its_own() -> None:
    counted = {"r1": 1.0, "r5": 2.0, "r10": 3.0, "mean_recall": 2.0, "queries": 90, "without_answer": 2}
    official = {"text_to_image": counted, "image_to_text": counted}
    chapter = summary_chapter({"甲": {**run(20.0), "cn_clip": official}})
    assert list(chapter.blocks[-1].rows[0][1:]) == ["甲", "1.0", "2.0", "3.0", "2.0", "90", "2"]  # type: ignore[union-attr]


def comparison(low: float, high: float, *, first: str = "甲", metric: str = "r1") -> Comparison:
    interval = Interval((low + high) / 2, low, high)
    return Comparison(first, "乙", "t2i", metric, Difference(interval, 0.0004, 3, 9, 0.146))


def test_differences_are_told_in_words_and_only_reliable_ones_are_called_so() -> None:
    chapter = differences_chapter(
        [comparison(1, 5), comparison(-9, -2, metric="map"), comparison(-1, 1, metric="mean_recall")]
    )
    said = sentences(chapter)[0]
    assert said.startswith(
        "乙 可靠地好于 甲：文搜图 R@1；甲 可靠地好于 乙：文搜图 mAP；甲 与 乙 没有可靠差别：文搜图 MR。"
    )
    assert "乙 is reliably better than 甲: text → image R@1" in said
    rows = chapter.blocks[1].rows  # type: ignore[union-attr]
    assert list(rows[0][2:]) == ["+3.00 [+1.00, +5.00]", "< 0.001", "0.146", "3", "9"]
    assert list(rows[1][4:]) == ["-", "-", "-"], "McNemar's test is of right and wrong only"
    assert not differences_chapter([]).blocks


def test_several_pairs_are_warned_of() -> None:
    chapter = differences_chapter([comparison(1, 5), comparison(1, 5, first="丙")])
    assert "2 次比较，p 值未作多重比较校正" in sentences(chapter)[-1]
    assert [block.title.zh for block in chapter.blocks if isinstance(block, Grid)] == [
        "乙 减 甲，同样的查询", "乙 减 丙，同样的查询",
    ]  # fmt: skip


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_curves_are_the_recalls_of_every_k() -> None:
    rng = np.random.default_rng(3)
    images, texts = unit(rng.normal(size=(130, 8))), unit(rng.normal(size=(40, 8)))
    pairs = np.array([(i % 130, i % 37) for i in range(90)])
    ks = (1, 2, 7, 50, 100)
    result = recall_at_k(images, texts, pairs, ks)
    for found, ends in ((result.t2i, 100), (result.i2t, 40)):
        points = dict(recall_points(found))
        assert list(points) == list(range(1, ends + 1))
        assert all(points[k] == pytest.approx(found.recall[k]) for k in ks if k <= ends)
    counts = np.bincount(np.unique(pairs, axis=0)[:, 1])
    chance = dict(chance_points(counts[counts > 0], 130))
    for k in ks:
        assert chance[k] == pytest.approx(expected_recall(counts[counts > 0], 130, k))


def test_the_depth_is_the_least_k_that_answers_so_many() -> None:
    images = np.eye(10, dtype=np.float32)
    scores = np.tril(np.ones((10, 10)), -1) + 0.5 * np.eye(10)  # text n has n pictures above its own
    result = recall_at_k(images, unit(scores), np.array([(n, n) for n in range(10)]))
    assert sorted(result.t2i.ranks) == list(range(1, 11))
    assert [depth_for(result.t2i, share) for share in (50, 75, 90, 95, 100)] == [5, 8, 9, 10, 10]


def test_a_store_of_one_pair_has_its_curves() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    result = recall_at_k(one, one, np.array([[0, 0]]))
    chapter = curves_chapter({"chance": result}, np.array([[0, 0]]))
    charts = [block for block in chapter.blocks if isinstance(block, Curves)]
    assert [dict(chart.series) for chart in charts] == [{"chance": [(1, 100)], "chance_": [(1, 100)]}] * 2


def test_captions_of_two_pictures_and_a_model_at_chance_are_told_of() -> None:
    good, at_chance = run(20.0), run(1.0)
    good["counts"] = {"repeated_captions": 7}
    for way in ("text_to_image", "image_to_text"):
        at_chance[way]["intervals"] = {"r1": [0.5, 2.0], "r5": [5.0, 9.0]}
    assert any("7 captions are word for word" in said for said in sentences(summary_chapter({"甲": good})))
    assert any("与随机没有可靠的差别" in said for said in sentences(summary_chapter({"乙": at_chance})))
    for runs in ({"甲": run(20.0)}, {"甲": run(20.0), "乙": at_chance}):
        said = " ".join(sentences(summary_chapter(runs)))
        assert "随机没有" not in said and "word for word" not in said
