"""Wins and losses: what one model answers and another does not, and one model's extremes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cnclip.evaluation.chapters.blocks import Chapter, Grid, Paragraph, Pictures
from cnclip.evaluation.insight.contrasts import find_contrast
from cnclip.evaluation.insight.contrasts_chapter import contrasts_chapter
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.stores.reader import StoreReader

CAPTIONS = ["红苹果", "黄香蕉", "绿西瓜", "紫葡萄", "白雪梨", "红苹果"]


@pytest.fixture
def fruit(make_store: Callable[..., StoreReader], photo: Callable[..., bytes]) -> StoreReader:
    return make_store([(f"{place}.png", photo(place), [one]) for place, one in enumerate(CAPTIONS)])


@pytest.fixture
def answers(fruit: StoreReader, measure: Callable[..., Evidence]) -> Callable[[list[int]], Evidence]:
    """A model that gives the correct picture of each caption the rank that is asked for."""

    def model(ranks: list[int]) -> Evidence:
        texts = np.empty((6, 6))
        for text, rank in enumerate(ranks):
            others = [image for image in range(6) if image != text]
            order = [*others[: rank - 1], text, *others[rank - 1 :]]
            texts[text, order] = np.arange(6, 0, -1)
        evidence = measure(fruit, np.eye(6), texts)
        assert evidence.result.t2i.ranks.tolist() == ranks
        return evidence

    return model


def test_queries_are_told_by_who_was_right_and_those_lost_by_most_places_come_first(
    fruit: StoreReader, answers: Callable[[list[int]], Evidence]
) -> None:
    first, second = answers([1, 1, 1, 2, 3, 1]), answers([4, 1, 3, 1, 6, 5])
    found = find_contrast(first.result.t2i, second.result.t2i, fruit, count=3)
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 3, 1, 1)
    assert found.first_wins.tolist() == [5, 2]  # 红苹果 comes twice and is shown once, by its larger rank
    assert found.second_wins.tolist() == [3]
    assert find_contrast(first.result.t2i, second.result.t2i, fruit, count=1).first_wins.tolist() == [5]


def test_two_models_stand_side_by_side_with_their_pictures(
    answers: Callable[[list[int]], Evidence], inspect: Callable[[Chapter], int]
) -> None:
    chapter = contrasts_chapter({"甲": answers([1, 1, 1, 2, 3, 1]), "乙": answers([4, 1, 3, 1, 6, 5])})
    assert chapter is not None and chapter.name == "contrasts"
    assert 0 < inspect(chapter) <= 60
    wins, losses = (block for block in chapter.blocks if isinstance(block, Pictures))
    assert list(wins.models) == ["甲", "乙"] and "甲 对，乙 错" in wins.title.zh
    assert wins.heading(0).zh == "红苹果（乙 排第 5）"  # type: ignore[union-attr]
    right, wrong = wins.models["甲"][0].pictures, wins.models["乙"][0].pictures
    assert [picture.correct for picture in right] == [True, False, False]
    assert [picture.correct for picture in wrong] == [False, False, False, True]
    assert [answer.query for answer in losses.models["乙"]] == ["紫葡萄"]
    counts = next(block for block in chapter.blocks if isinstance(block, Grid))
    assert counts.rows == [["甲 / 乙", "1", "3", "1", "1"]]


def test_equal_models_have_nothing_to_show(answers: Callable[[list[int]], Evidence]) -> None:
    ranks = [1, 2, 1, 2, 1, 1]
    chapter = contrasts_chapter({"甲": answers(ranks), "乙": answers(ranks)})
    assert chapter is not None
    assert not any(isinstance(block, Pictures) for block in chapter.blocks)
    said = [block.text.zh for block in chapter.blocks if isinstance(block, Paragraph)]
    assert "甲 对，乙 错：没有这样的查询。" in said and "乙 对，甲 错：没有这样的查询。" in said


def test_many_models_do_not_make_a_page_of_pictures(
    answers: Callable[[list[int]], Evidence], inspect: Callable[[Chapter], int]
) -> None:
    measured = {f"模型{place}": answers([1, 1, 2, 3, 1, 1]) for place in range(3)}
    measured |= {f"模型{place}": answers([2, 4, 1, 1, 5, 6]) for place in range(3, 6)}
    chapter = contrasts_chapter(measured)
    assert chapter is not None and inspect(chapter) <= 60
    counts = next(block for block in chapter.blocks if isinstance(block, Grid))
    assert len(counts.rows) == 3  # the first beside the three that follow it


def test_one_model_shows_its_hardest_and_its_best_queries(
    answers: Callable[[list[int]], Evidence], inspect: Callable[[Chapter], int]
) -> None:
    chapter = contrasts_chapter({"模型": answers([6, 1, 2, 3, 1, 1])})
    assert chapter is not None and 0 < inspect(chapter) <= 60
    hardest, best = (block for block in chapter.blocks if isinstance(block, Pictures))
    assert hardest.heading(0).zh == "红苹果（第 6 名）"  # type: ignore[union-attr]
    assert best.heading(0).en.endswith("(rank 1)")  # type: ignore[union-attr]
    assert len({answer.query for answer in hardest.models[""]}) == 5
    assert "只有 6 个有标注的查询" in chapter.blocks[0].text.zh  # type: ignore[union-attr]


def test_the_best_queries_of_a_poor_model_are_not_called_right(
    answers: Callable[[list[int]], Evidence],
) -> None:
    chapter = contrasts_chapter({"模型": answers([6, 5, 4, 3, 2, 6])})
    assert chapter is not None
    best = [block for block in chapter.blocks if isinstance(block, Pictures)][1]
    assert best.heading(0).en.endswith("(rank 2)")  # type: ignore[union-attr]
    assert best.note is not None and "排第一" not in best.note.zh and "first" not in best.note.en


def test_without_a_model_there_is_no_chapter() -> None:
    assert contrasts_chapter({}) is None
