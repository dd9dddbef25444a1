"""Nearest wrong pictures: mistakes, pictures mistaken for each other, words got for others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from cnclip.evaluation.chapters.blocks import Chapter, Grid
from cnclip.evaluation.insight.confusions import ConfusionFindings, find_confusions
from cnclip.evaluation.insight.confusions_chapter import confusions_chapter
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.labels import Labels
from cnclip.evaluation.insight.neighbours import find_neighbours
from cnclip.evaluation.insight.replaced_words import Miss, replaced_words
from cnclip.evaluation.insight.said import said
from cnclip.stores.reader import StoreReader

PLACES = ["草地上", "沙发上", "雪地里"]


@pytest.fixture
def pets(
    make_store: Callable[..., StoreReader],
    measure: Callable[..., Evidence],
    photo: Callable[..., bytes],
) -> Evidence:
    """猫 and 狗 in three places, each taken for the other in the same place; 鸟 is found."""
    captions = [f"一只{pet}趴在{place}" for place in PLACES for pet in "猫狗"] + ["一只鸟飞过天空"]
    store = make_store([(f"{place}.png", photo(place), [one]) for place, one in enumerate(captions)])
    images = np.eye(7)
    texts = images.copy()
    for cat in (0, 2, 4):
        texts[cat] = 0.6 * images[cat] + 0.8 * images[cat + 1]
        texts[cat + 1] = 0.28 * images[cat + 1] + 0.96 * images[cat]
    return measure(store, images, texts)


def found_in(evidence: Evidence) -> ConfusionFindings:
    return find_confusions(evidence, find_neighbours(evidence))


def test_each_mistake_has_its_wrong_picture_rank_and_margin(pets: Evidence) -> None:
    found = found_in(pets)
    assert (found.queries, found.missed, found.pictures) == (7, 6, 7)
    facts = [(one.query, one.right, one.wrong, one.rank, round(one.margin, 4)) for one in found.nearest]
    assert facts == [
        *((dog, dog, dog - 1, 2, 0.68) for dog in (1, 3, 5)),
        *((cat, cat, cat + 1, 2, 0.2) for cat in (0, 2, 4)),
    ]


def test_pictures_mistaken_for_each_other_are_pairs_with_counts(pets: Evidence) -> None:
    found = found_in(pets)
    assert found.mixed_up_pairs == 3
    assert [(one.first, one.second, one.of_first, one.of_second) for one in found.mixed_up] == [
        (0, 1, 1, 1),
        (2, 3, 1, 1),
        (4, 5, 1, 1),
    ]


def test_asked_for_a_cat_and_got_a_dog(pets: Evidence) -> None:
    words = {(one.asked, one.got): one for one in found_in(pets).words}
    assert set(words) == {("猫", "狗"), ("狗", "猫")}
    cat = words["猫", "狗"]
    assert (cat.pictures, cat.captions, cat.asked_captions) == (3, 3, 3)
    assert cat.examples == (Miss(0, 0, 1), Miss(2, 2, 3), Miss(4, 4, 5))


@pytest.mark.parametrize(
    ("asked", "got", "expected"),
    [
        ("两只狗在跑", "三只狗在跑", ("两", "三")),
        ("穿红色衣服的人", "穿蓝色衣服的人", ("红色", "蓝色")),
        ("狗在草地上", "小狗在草地上", None),  # a synonym
        ("狗在草地上", "狗在草地上奔跑", None),  # more is said, nothing in the place of another word
        ("两只狗在跑", "黑色狗在跑", None),  # a number and a colour
        ("红色的花", "一辆汽车", None),  # nothing in common
    ],
)
def test_words_in_the_same_place_are_told(asked: str, got: str, expected: tuple[str, str] | None) -> None:
    captions = dict(enumerate(said([*[asked] * 3, *[got] * 3])))
    labels = Labels(np.stack([np.arange(6)] * 2, axis=1), 6, 6)
    misses = [Miss(text, text, text + 3) for text in range(3)]
    found = replaced_words(misses, range(6), captions, labels)
    assert [(one.asked, one.got) for one in found] == ([expected] if expected else [])


def test_a_word_that_another_caption_of_the_picture_has_is_not_told() -> None:
    texts = ["猫在沙发上", "狗在沙发上", "沙发上有猫和狗"]
    captions = dict(enumerate(said(texts * 3)))
    own = [(3 * group, 3 * group) for group in range(3)]
    wrong = [(3 * group + 1, 3 * group + 1) for group in range(3)]
    misses = [Miss(3 * group, 3 * group, 3 * group + 1) for group in range(3)]
    alone = Labels(np.array(own + wrong), 9, 9)
    assert [(one.asked, one.got) for one in replaced_words(misses, [0, 3, 6], captions, alone)] == [
        ("猫", "狗")
    ]
    for side in (0, 1):  # 沙发上有猫和狗 belongs to the right picture, or to the wrong one
        more = [(3 * group + side, 3 * group + 2) for group in range(3)]
        labels = Labels(np.array(own + wrong + more), 9, 9)
        assert replaced_words(misses, [0, 3, 6], captions, labels) == ()


def test_two_pictures_are_too_few_to_tell_of_words() -> None:
    captions = dict(enumerate(said(["猫在沙发上", "猫在沙发上", "狗在沙发上", "狗在沙发上"])))
    labels = Labels(np.stack([np.arange(4)] * 2, axis=1), 4, 4)
    assert replaced_words([Miss(0, 0, 2), Miss(1, 1, 3)], range(4), captions, labels) == ()


def test_results_hold_ids_and_numbers_as_plain_json(pets: Evidence) -> None:
    value = json.loads(json.dumps(found_in(pets).to_json(), ensure_ascii=False, allow_nan=False))
    assert value["text_to_image"] == {"queries": 7, "missed": 6}
    first = value["nearest_wrong_pictures"][0]
    assert (first["correct_image_id"], first["wrong_image_id"], first["margin"]) == ("1.png", "0.png", 0.68)
    assert value["mixed_up"]["first"][0]["image_ids"] == ["0.png", "1.png"]
    assert [(one["asked"], one["captions"]) for one in value["words"]["replaced"]] == [("狗", 3), ("猫", 3)]


def test_the_chapter_shows_words_and_pictures_and_says_where_there_is_too_little(
    pets: Evidence, inspect: Callable[[Chapter], int]
) -> None:
    found = found_in(pets)
    for models in ({"甲": found}, {"甲": found, "乙": found}):
        chapter = confusions_chapter(models, pets.store)
        assert chapter.name == "confusions" and 0 < inspect(chapter) <= 60
    first = chapter.blocks[0]
    assert "只有 7 个查询" in first.text.zh and "only 7 queries" in first.text.en  # type: ignore[union-attr]
    grid = next(block for block in chapter.blocks if isinstance(block, Grid))
    assert grid.rows[0] == ["狗", "猫", "3", "3", "3", "100.0"]


def test_a_perfect_model_has_no_mistakes(
    make_store: Callable[..., StoreReader],
    measure: Callable[..., Evidence],
    photo: Callable[..., bytes],
    inspect: Callable[[Chapter], int],
) -> None:
    store = make_store([("1.png", photo(1), ["猫"]), ("2.png", photo(2), ["狗"])])
    found = found_in(measure(store, np.eye(2), np.eye(2)))
    assert found.nearest == found.captions == found.mixed_up == found.words == ()
    assert inspect(confusions_chapter({"模型": found}, store)) == 0


def test_mistakes_are_those_of_a_plain_search(
    make_store: Callable[..., StoreReader],
    measure: Callable[..., Evidence],
    photo: Callable[..., bytes],
) -> None:
    captions = [[f"第{place}张图{word}" for word in "甲乙丙"[: place % 3 + 1]] for place in range(6)]
    store = make_store([(f"{place}.png", photo(place), own) for place, own in enumerate(captions)])
    for seed in range(6):
        rng = np.random.default_rng(seed)
        evidence = measure(store, rng.standard_normal((6, 3)), rng.standard_normal((12, 3)))
        found = found_in(evidence)
        scores = evidence.texts.rows.astype(np.float64) @ evidence.images.rows.astype(np.float64).T
        labels = Labels(evidence.positives, 6, 12)
        expected, before = plain_search(scores, labels)
        assert {one.query: (one.right, one.wrong) for one in found.nearest} == expected
        mixed = {pair: count for pair, count in before.items() if pair[::-1] in before and pair[0] < pair[1]}
        assert {(one.first, one.second): one.of_first for one in found.mixed_up} == mixed


def plain_search(
    scores: np.ndarray, labels: Labels
) -> tuple[dict[int, tuple[int, int]], Counter[tuple[int, int]]]:
    """Caption -> (best correct, best wrong picture) where that is first; (right, wrong) -> captions."""
    expected: dict[int, tuple[int, int]] = {}
    before: Counter[tuple[int, int]] = Counter()
    for text, row in enumerate(scores):
        own = labels.images_of(text)
        right = max(own, key=lambda image: row[image])
        others = [image for image in range(len(row)) if image not in own]
        wrong = max(others, key=lambda image: row[image])
        if row[wrong] > row[right]:
            expected[text] = (right, wrong)
        before.update((mine, image) for mine in own for image in others if row[image] > row[right])
    return expected, before
