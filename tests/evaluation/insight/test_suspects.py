"""Suspects of a test set: which ones, why, and what recall would be with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.chapters.blocks import Chapter, Pictures
from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.insight.neighbours import find_neighbours
from cnclip.evaluation.insight.suspect_findings import SuspectFindings, write_suspects
from cnclip.evaluation.insight.suspect_pairs import STRENGTHS
from cnclip.evaluation.insight.suspect_recall import LEVELS, counted_recalls
from cnclip.evaluation.insight.suspects import find_suspects
from cnclip.evaluation.insight.suspects_chapter import chosen_suspects, suspects_chapter
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.stores.reader import StoreReader

MakeStore = Callable[..., StoreReader]
Measure = Callable[..., Evidence]


@pytest.fixture
def six(make_store: MakeStore, measure: Measure, photo: Callable[..., bytes]) -> Evidence:
    """Six pictures; two files are equal, a third is the same photo; a caption comes twice, one is covered.

    All captions find their picture first, but for 两个男人站在船上: 戊 stands before 丁.
    """
    store = make_store(
        [
            ("甲.png", photo(1), ["一只狗在草地上奔跑。"]),
            ("乙.jpg", photo(1, "JPEG", quality=60), ["狗在雪地里"]),
            ("丙.png", photo(3), ["一只狗在草地上奔跑"]),
            ("丁.png", photo(4), ["两个男人站在船上"]),
            ("戊.png", photo(5), ["船上有２名男子", "站着的男人"]),
            ("己.png", photo(1), ["黑色的狗"]),
        ]
    )
    images = np.eye(6)
    texts = images[[0, 1, 2, 3, 4, 4, 5]].copy()
    texts[3] = 0.6 * images[3] + 0.8 * images[4]
    return measure(store, images, texts)


def found_in(evidence: Evidence, **options: int) -> SuspectFindings:
    return find_suspects(evidence, find_neighbours(evidence), **options)


def test_six_pictures_have_exactly_these_suspects(six: Evidence) -> None:
    rows = [one.to_json() for one in found_in(six).suspects]
    facts = {(row["caption"], row["image_id"], row["reason"], row["score"]) for row in rows}
    assert len(rows) == len(facts) == 9
    assert facts == {
        ("一只狗在草地上奔跑。", "己.png", "same bytes", 1.0),
        ("黑色的狗", "甲.png", "same bytes", 1.0),
        ("一只狗在草地上奔跑。", "乙.jpg", "near picture", 0.95),
        ("黑色的狗", "乙.jpg", "near picture", 0.95),
        ("狗在雪地里", "甲.png", "near picture", 0.95),
        ("狗在雪地里", "己.png", "near picture", 0.95),
        ("一只狗在草地上奔跑。", "丙.png", "same caption", 0.9),
        ("一只狗在草地上奔跑", "甲.png", "same caption", 0.9),
        ("两个男人站在船上", "戊.png", "words covered", 0.8),
    }


def test_a_suspect_says_what_speaks_for_it_and_how_far_it_stands_before_the_label(six: Evidence) -> None:
    rows = {(row.caption, row.image_id): row.to_json() for row in found_in(six).suspects}
    text_ids = dict(zip(six.store.captions(), six.store.text_ids(), strict=True))
    same = rows["黑色的狗", "甲.png"]
    assert (same["because"], same["labelled_image_id"], same["margin"]) == ("己.png", "己.png", -1.0)
    equal = rows["一只狗在草地上奔跑", "甲.png"]
    assert equal["because"] == text_ids["一只狗在草地上奔跑。"]
    covered = rows["两个男人站在船上", "戊.png"]
    assert covered["because"] in (text_ids["船上有２名男子"], text_ids["站着的男人"])
    assert covered["text_id"] == text_ids["两个男人站在船上"] and covered["margin"] == 0.2
    assert covered["labelled_image_id"] == "丁.png"


def test_recall_with_suspects_is_beside_the_reported_one_and_does_not_touch_it(six: Evidence) -> None:
    before = dict(six.result.t2i.recall)
    recalls = found_in(six).recalls
    assert [one.suspects for one in recalls] == [0, 6, 8, 9, 9]
    assert [round(one.t2i[1], 2) for one in recalls] == [85.71, 85.71, 85.71, 100.0, 100.0]
    assert [one.i2t[1] for one in recalls] == [100.0] * 5
    assert six.result.t2i.recall == before == recalls[0].t2i


def test_the_review_list_has_a_line_per_suspect_the_strongest_first(six: Evidence, tmp_path: Path) -> None:
    found = found_in(six)
    path = tmp_path / "疑点.jsonl"
    write_suspects(path, found.suspects)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [one.to_json() for one in found.suspects]
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert "草地" in path.read_text(encoding="utf-8")


def test_results_hold_counts_and_ids_as_plain_json(six: Evidence) -> None:
    value = json.loads(json.dumps(found_in(six).to_json(), ensure_ascii=False, allow_nan=False))
    assert value["facts"] is False
    assert value["reasons"]["near picture"] == {"suspects": 4, "before_labelled": 0, "captions": 3}
    assert value["reasons"]["words covered"] == {"suspects": 1, "before_labelled": 1, "captions": 1}
    assert {tuple(pair["image_ids"]) for pair in value["pictures"]["pairs"]} == {
        ("甲.png", "乙.jpg"),
        ("甲.png", "己.png"),
        ("乙.jpg", "己.png"),
    }
    assert value["recall"][0]["text_to_image"]["r1"] == pytest.approx(85.7143)


def test_a_sample_is_seeded_and_told(six: Evidence, inspect: Callable[[Chapter], int]) -> None:
    found = found_in(six, most_pictures=3)
    assert found.sampled and found.twins.compared == 3
    assert found.to_json() == found_in(six, most_pictures=3).to_json()
    everything = {(one.text, one.image, one.reason) for one in found_in(six).suspects}
    assert {(one.text, one.image, one.reason) for one in found.suspects} <= everything
    chapter = suspects_chapter({"模型": found}, six.store)
    inspect(chapter)
    assert any("随机抽的 3 张" in getattr(getattr(block, "text", None), "zh", "") for block in chapter.blocks)


def test_clean_data_has_no_suspects(
    make_store: MakeStore, measure: Measure, photo: Callable[..., bytes], inspect: Callable[[Chapter], int]
) -> None:
    captions = ["红色的苹果", "蓝色的汽车", "绿色的树林"]
    store = make_store([(f"{place}.png", photo(place), [one]) for place, one in enumerate(captions)])
    evidence = measure(store, np.eye(3), np.eye(3))
    found = found_in(evidence)
    assert found.suspects == () and found.recalls[-1].t2i == found.recalls[0].t2i
    assert inspect(suspects_chapter({"模型": found}, store)) == 0


def test_captions_without_a_picture_are_never_suspected(
    make_store: MakeStore, measure: Measure, photo: Callable[..., bytes]
) -> None:
    store = make_store(
        [("1.png", photo(1), ["红色的苹果"]), ("2.png", photo(2), []), ("3.png", photo(1), [])]
    )
    evidence = measure(store, np.eye(3), np.eye(3)[:1])
    found = found_in(evidence)
    assert [(one.image_id, one.reason) for one in found.suspects] == [("3.png", "same bytes")]
    assert found.recalls[-1].i2t[1] == 100.0  # a picture without a caption stays out of the mean


def test_mutual_first_places_need_captions_that_agree(
    make_store: MakeStore, measure: Measure, photo: Callable[..., bytes]
) -> None:
    rows = [
        ("甲.png", photo(1), ["树下的老人", "靠着树干休息"]),
        ("乙.png", photo(2), ["男人坐在木凳", "公园一角"]),
        ("丙.png", photo(3), ["下雨天", "打伞过马路"]),
    ]
    store = make_store(rows)
    images = np.eye(4)[:3]
    texts = np.array(
        [
            [0.1, 1, 0, 0],  # 树下的老人 finds 乙, is its first, and lies between its two captions
            [1, 0, 0, 0],
            [0, 0.9, 0, 0.3],
            [0, 0.9, 0, -0.3],
            [0, 0, 1, 0.8],
            [0, 0, 1, -0.8],
        ]
    )
    found = found_in(measure(store, images, texts))
    assert [(one.caption, one.image_id, one.reason) for one in found.suspects] == [
        ("树下的老人", "乙.png", "mutual")
    ]
    single = make_store([(name, data, captions[:1]) for name, data, captions in rows])
    assert found_in(measure(single, images, texts[[0, 2, 4]])).suspects == ()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_recall_with_suspects_is_that_of_ranking_everything_again(data: st.DataObject) -> None:
    images, texts = data.draw(st.integers(2, 7)), data.draw(st.integers(1, 8))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    angles = rng.integers(0, 8, size=images + texts) * np.pi / 16  # few directions: many equal scores
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    every = [(image, text) for image in range(images) for text in range(texts)]
    positives = np.array(data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=8, unique=True)))
    left = [pair for pair in every if pair not in {tuple(row) for row in positives.tolist()}]
    labelled = [pair for pair in left if pair[1] in positives[:, 1]]
    pairs = data.draw(st.lists(st.sampled_from(labelled), unique=True)) if labelled else []
    reasons = [data.draw(st.sampled_from(sorted(STRENGTHS))) for _ in pairs]
    result = recall_at_k(rows[:images], rows[images:], positives)
    evidence = Evidence(
        None,  # type: ignore[arg-type]  # not looked at
        _Table(rows[:images]),  # type: ignore[arg-type]
        _Table(rows[images:]),  # type: ignore[arg-type]
        positives,
        result,
        {},
        None,  # type: ignore[arg-type]
    )
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    found = counted_recalls(evidence, ends, reasons)
    counted: set[str] = set()
    for level, recall in zip(((), *LEVELS), found, strict=True):
        counted |= set(level)
        added = ends[[reason in counted for reason in reasons]]
        again = recall_at_k(rows[:images], rows[images:], np.concatenate([positives, added]))
        for direction, reported, counts in (
            (again.t2i, result.t2i, recall.t2i),
            (again.i2t, result.i2t, recall.i2t),
        ):
            ranks = direction.ranks[reported.ranks > 0]
            assert counts == {k: pytest.approx(100 * (ranks <= k).mean()) for k in (1, 5, 10)}


class _Table:
    """Rows alone."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows


def test_the_chapter_shows_pairs_of_pictures_in_both_languages(
    six: Evidence, inspect: Callable[[Chapter], int]
) -> None:
    found = found_in(six)
    chapter = suspects_chapter({"一": found, "二": found}, six.store)
    assert chapter.name == "suspects" and 0 < inspect(chapter) <= 60
    gallery = next(block for block in chapter.blocks if isinstance(block, Pictures))
    for answer in gallery.models[""]:
        labelled, suspect = answer.pictures
        assert labelled.correct and suspect.correct is None
        assert labelled.image != suspect.image or "相同" in gallery.heading(0).both  # type: ignore[union-attr]


def test_shown_suspects_are_of_different_captions_and_pictures(six: Evidence) -> None:
    shown = chosen_suspects(found_in(six).suspects, 5)
    assert len({one.caption for one in shown}) == len(shown) == 5
    assert {one.reason for one in shown[:4]} >= {"same bytes", "near picture", "words covered"}
