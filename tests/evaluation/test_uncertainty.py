"""Intervals of every number of a run, and comparisons of two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.per_query import Queries, both_directions, load_queries, save_queries
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.uncertainty import Draws, compare_queries, median_interval, query_intervals

DRAWS = Draws(samples=400, seed=5)


def queries_of(ranks: list[int], groups: list[int] | None = None) -> Queries:
    found = np.array(ranks)
    places = np.arange(len(ranks)) if groups is None else np.array(groups)
    return Queries(
        [f"问{place}" for place in range(len(ranks))], places, found, 1 / found, 1 / np.log2(found + 1)
    )


def test_a_value_of_each_metric_by_hand() -> None:
    values = queries_of([1, 4, 20]).values([1, 5, 10])
    assert values["r1"].tolist() == [100, 0, 0] and values["r5"].tolist() == [100, 100, 0]
    assert values["mean_recall"].tolist() == pytest.approx([100, 200 / 3, 0])
    assert values["mrr"].tolist() == [100, 25, 5]
    assert values["map"].tolist() == [100, 25, 5]
    assert values["mean_rank"].tolist() == [1, 4, 20]


def test_every_number_lies_in_its_interval() -> None:
    rng = np.random.default_rng(1)
    queries = queries_of((1 + rng.geometric(0.1, size=300)).tolist(), (np.arange(300) // 3).tolist())
    found = query_intervals(queries, [1, 5, 10], DRAWS)
    assert set(found) == {
        "r1",
        "r5",
        "r10",
        "mean_recall",
        "mean_rank",
        "mrr",
        "map",
        "ndcg10",
        "median_rank",
    }
    assert all(span.low <= span.value <= span.high for span in found.values())
    assert found["r5"].value == pytest.approx(100 * (queries.ranks <= 5).mean())
    assert found["r5"].low < found["r5"].value < found["r5"].high


def test_the_median_of_each_sample_is_that_of_the_queries_drawn() -> None:
    rng = np.random.default_rng(2)
    ranks, groups = rng.integers(1, 50, size=40), rng.integers(0, 15, size=40)
    found = median_interval(ranks, groups, Draws(samples=100, seed=9))
    numbers = np.unique(groups)
    drawn = np.random.default_rng([9, len(numbers)]).integers(0, len(numbers), size=(100, len(numbers)))
    plain = [np.median(np.concatenate([ranks[groups == numbers[one]] for one in row])) for row in drawn]
    assert [found.low, found.high] == pytest.approx(np.percentile(plain, [2.5, 97.5]))
    assert found.value == np.median(ranks)


def test_a_model_does_not_differ_from_itself_and_the_sentence_says_so() -> None:
    one = {way: queries_of([1, 2, 3, 30] * 20) for way in ("t2i", "i2t")}
    found = compare_queries(("甲", "乙"), (one, one), DRAWS)
    assert [(one.direction, one.metric) for one in found] == [
        (way, metric) for way in ("t2i", "i2t") for metric in ("r1", "mean_recall", "map")
    ]
    assert not any(one.difference.differs for one in found)
    assert "没有可靠的差别" in found[0].words and "McNemar p = 1.000" in found[0].words
    assert found[0].to_json()["first_only"] == found[0].to_json()["second_only"] == 0


def test_a_clearly_better_model_is_named() -> None:
    worse = {way: queries_of([2, 9, 40, 3] * 30) for way in ("t2i", "i2t")}
    better = {way: queries_of([1, 1, 2, 1] * 30) for way in ("t2i", "i2t")}
    found = compare_queries(("旧", "新"), (worse, better), DRAWS)[0]
    assert found.difference.interval.value == 75.0
    assert "新 好于" in found.words and "McNemar p < 0.001" in found.words
    assert "只有 旧 对 only 旧 right: 0，只有 新 对 only 新 right: " in found.words
    assert found.to_json()["second_only"] == 90


def test_the_order_of_the_queries_does_not_matter_but_they_must_be_the_same() -> None:
    first = {way: queries_of([1, 5, 9, 2] * 5) for way in ("t2i", "i2t")}
    turned = {
        way: Queries(
            queries.ids[::-1],
            queries.groups[::-1],
            queries.ranks[::-1],
            queries.average_precision[::-1],
            queries.ndcg[::-1],
        )
        for way, queries in first.items()
    }
    assert compare_queries(("甲", "乙"), (first, turned), DRAWS)[0].difference.interval.high == 0
    fewer = {way: queries_of([1, 5, 9]) for way in ("t2i", "i2t")}
    with pytest.raises(SourceError, match="not asked the same queries: 17"):
        compare_queries(("甲", "乙"), (first, fewer), DRAWS)


def test_kept_queries_come_back_and_unlabelled_ones_are_left_out(tmp_path: Path) -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 1, 0]], dtype=np.float32)
    positives = np.array([[1, 0], [0, 1], [1, 1], [1, 3]])
    result = recall_at_k(images, texts, positives)
    kept = both_directions(result, positives, image_ids=["一", "二", "三"], text_ids=["a", "b", "c", "d"])
    assert kept["t2i"].ids == ["a", "b", "d"] and kept["i2t"].ids == ["一", "二"]
    assert kept["t2i"].groups.tolist() == [1, 0, 1], "a caption belongs to its first picture"
    save_queries(tmp_path / "q.npz", kept)
    found = load_queries(tmp_path / "q.npz")
    for way in kept:
        assert found[way].ids == kept[way].ids
        for field in ("groups", "ranks", "average_precision", "ndcg"):
            assert np.array_equal(getattr(found[way], field), getattr(kept[way], field))


def test_a_run_without_its_queries_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no ranks") as raised:
        load_queries(tmp_path / "per_query.npz")
    assert "eval retrieval" in str(raised.value.fix)
    (tmp_path / "per_query.npz").write_bytes(b"PK nothing")
    with pytest.raises(SourceError, match="cannot read"):
        load_queries(tmp_path / "per_query.npz")
