"""Which captions are of which kind, how long they are, and how rare their words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.chapters.blocks import Words
from cnclip.evaluation.insight import vocabulary
from cnclip.evaluation.insight.caption_kinds import KINDS, read_captions
from cnclip.evaluation.insight.caption_slices import slice_captions
from cnclip.evaluation.insight.caption_words import ADJECTIVE, NOUN, OTHER, VERB, cut_captions
from cnclip.evaluation.insight.slice_making import bucketed
from cnclip.evaluation.insight.slice_statistics import Outcomes
from cnclip.evaluation.insight.vocabulary import slice_by_rarity
from cnclip.evaluation.insight.word_slices import slice_by_word
from cnclip.evaluation.uncertainty import Draws
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

BOTH_WAYS = {
    "colour": (["穿红色衣服的女孩", "草地上的黑狗"], ["一盘西兰花", "脸红的男孩"]),
    "counted": (["一个男人", "２只狗"], ["一起跑步", "第一个到达"]),
    "number": (["两只狗", "3个人"], ["一个男人"]),
    "negation": (["没有穿鞋的人", "一个没穿衣服的孩子"], ["有人在跑"]),
    "sides": (["站在左边的人"], ["三十岁左右的人"]),
    "position": (["桌子上的猫", "树前面的人"], ["上海的人"]),
    "man": (["两个男孩", "爸爸和孩子"], ["墨西哥玉米", "阿拉伯数字"]),
    "woman": (["小女孩", "妈妈"], ["天妇罗"]),
    "child": (["一群小孩", "婴儿"], ["老人"]),
    "place": (["北京的胡同", "天津市的小路"], ["攀岩的人", "东西很多"]),
    "brand": (["耐克运动鞋", "iPhone手机壳"], ["骏马奔驰", "X"]),
    "nouns": (["草地上的狗", "黑色皮鞋"], ["奔跑的狗", "漂亮的花"]),
    "verb": (["奔跑的狗", "戴着帽子的人"], ["草地上的狗"]),
    "adjective": (["漂亮的花", "大型卡车"], ["草地上的狗"]),
    "clauses": (["三只狼在前面，一个老人在后面", "连衣裙 夏季"], ["一个男人。", "1,000只羊"]),
    "punctuation": (["女孩。", "“狗”"], ["女孩"]),
    "emoji": (["猫🐱", "❤️"], ["猫"]),
    "latin": (["穿Ｔ恤的人", "T恤"], ["衬衫"]),
    "digits": (["１９号球员", "2个人"], ["两个人"]),
    "full-width": (["穿Ｔ恤的人", "２０２６"], ["T恤2"]),
    "traditional": (["兩隻貓", "一隻狗"], ["两只猫", "一山"]),
    "cut": (["很长" * 26], ["很长" * 25]),
    "unknown": (["龇牙的狗"], ["张嘴的狗", "字" * 60 + "龇"]),
}


@pytest.mark.parametrize("key", BOTH_WAYS)
def test_a_kind_holds_captions_that_say_so_and_no_others(key: str) -> None:
    yes, no = BOTH_WAYS[key]
    captions = [*yes, *no]
    read = read_captions(captions, cut_captions(captions))
    assert [KINDS[key].holds(one) for one in read] == [True] * len(yes) + [False] * len(no)


def test_words_have_the_tags_of_the_dictionary_and_unknown_ones_those_of_their_characters() -> None:
    cut = cut_captions(["戴着帽子奔跑的美丽女孩，ＮＢＡ 2"])
    assert cut.words == [("戴着", "帽子", "奔跑", "的", "美丽", "女孩", "，", "NBA", "2")]
    assert "戴着" not in cut.tags and VERB in cut.classes("戴着")
    assert cut.classes("女孩") == {NOUN} and cut.classes("奔跑") == {VERB}
    assert cut.classes("NBA") == {NOUN} and cut.classes("2") == {OTHER}
    assert ADJECTIVE in cut_captions(["一片白茫茫"]).classes("白茫茫")


def test_content_words_are_not_marks_numbers_particles_or_prepositions() -> None:
    caption = "一个女孩在草地上开心地抱着２只黑狗，是NBA的😀。"
    cut = cut_captions([caption])
    content = {word for word in cut.words[0] if cut.is_content(word)}
    assert {"女孩", "黑狗", "NBA"} <= content
    assert not content & {"一个", "在", "的", "地", "，", "。", "2", "是", "😀"}


def test_buckets_by_hand() -> None:
    found = bucketed("length", np.array([0, 5, 6, 10, 11, 99]), (0, 6, 11), Words(" 字", " ch"))
    assert [one.shown.zh for one in found] == ["0–5 字", "6–10 字", "≥11 字"]
    assert [np.flatnonzero(one.members).tolist() for one in found] == [[0, 1], [2, 3], [4, 5]]
    ratios = bucketed("shape", np.array([1.0, 1.1, 1.35, 2.0]), (1.0, 1.1, 1.4), Words("", ""))
    assert [(one.key, int(one.members.sum())) for one in ratios] == [
        ("1–1.1", 1),
        ("1.1–1.4", 2),
        ("≥1.4", 1),
    ]
    units = Words(" 条", " captions")
    assert [one.shown.en for one in bucketed("captions", np.array([1, 2]), (1, 2, 3), units)] == [
        "1 caption",
        "2 captions",
    ]
    counts = bucketed("captions", np.array([1, 2, 3]), (1, 2, 3), Words("", ""))
    assert [one.key for one in counts] == ["1", "2", "≥3"]


@settings(max_examples=15)  # each reads jieba's dictionary
@given(st.lists(st.text("红狗在跑两只，。😀２Ａa 貓", max_size=70), min_size=1, max_size=8))
def test_lengths_words_and_rarity_hold_every_query_once(captions: list[str]) -> None:
    found = slice_captions(tuple(captions))
    slices = [*found.slices, *slice_by_rarity(found.cut, (), seed=0).slices]
    for family in ("length", "words", "rarity"):
        counts = np.sum([one.members for one in slices if one.family == family], axis=0)
        np.testing.assert_array_equal(counts, np.ones(len(captions)))


def test_length_is_that_of_the_cleaned_caption() -> None:
    found = slice_captions(("  一只　　狗\u200b  ", "在草地上奔跑的２只狗。"))
    assert [(one.key, one.members.tolist()) for one in found.slices if one.family == "length"] == [
        ("0–5", [True, False]),
        ("11–15", [False, True]),
    ]


def training_store(folder: Path, captions: list[str], picture: bytes) -> StoreReader:
    (folder / "a.png").write_bytes(picture)
    row = {"image": "a.png", "captions": captions}
    (folder / "源.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    build_store(read_source(folder / "源.jsonl"), folder / "库")
    return StoreReader(folder / "库")


@pytest.fixture
def picture(shapes_store: Path) -> bytes:
    return StoreReader(shapes_store).image(0).image


def test_rarity_counts_training_captions_and_finds_unseen_words(tmp_path: Path, picture: bytes) -> None:
    seen = training_store(tmp_path, ["草地上的狗", "狗狗在草地", "一匹斑马", *["雪地的人"] * 5], picture)
    cut = cut_captions(["草地上的熊猫", "草地", "雪地", "两只", "草地和斑马"])
    found = slice_by_rarity(cut, [seen], seed=0)
    assert (found.basis, found.captions, found.sampled_from) == ("seen", 8, 8)
    held = {one.key: np.flatnonzero(one.members).tolist() for one in found.slices}
    assert held == {"0": [0], "1–4": [1, 4], "5–49": [2], "none": [3]}
    assert found.slices[0].shown.zh == "没见过"


def test_rarity_without_training_data_counts_the_queries_themselves() -> None:
    cut = cut_captions(["草地上的熊猫", "草地", "草地的草地"])
    found = slice_by_rarity(cut, (), seed=0)
    assert (found.basis, found.captions) == ("own", 3)
    assert {one.key: np.flatnonzero(one.members).tolist() for one in found.slices} == {
        "1": [0],
        "2–4": [1, 2],
    }


def test_of_many_training_captions_a_sample_is_counted_and_said(
    tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = training_store(tmp_path, [f"草地{number}" for number in range(30)], picture)
    monkeypatch.setattr(vocabulary, "MOST_SEEN", 10)
    found = slice_by_rarity(cut_captions(["草地"]), [seen], seed=0)
    assert (found.captions, found.sampled_from) == (10, 30)
    assert [one.key for one in found.slices] == ["5–49"]


def test_words_are_told_apart_by_recall_and_ordered_by_what_chance_leaves() -> None:
    captions = ["草地上的狗"] * 40 + ["雪地上的猫"] * 40 + ["沙滩上的鸟"] * 40
    ranks = np.array([1] * 40 + [60] * 40 + [7] * 40)
    found = slice_by_word(cut_captions(captions), Outcomes(ranks, np.arange(120)), Draws(200, 0))
    assert found.tested == 6 and found.better == 2
    assert {one.key for one in found.worst[:2]} == {"雪地", "猫"}
    assert {one.key for one in found.best[:2]} == {"草地", "狗"}
    assert found.best[0].difference == pytest.approx(100 - (0 + 100 / 3) / 2)
    assert found.worst[0].verdict == "worse" and found.worst[0].spans["difference"][1] < 0


def test_a_word_of_too_few_queries_or_pictures_is_not_tested() -> None:
    captions = ["草地上的狗"] * 40 + ["雪地上的猫"] * 19 + ["沙滩上的鸟"] * 30
    groups = np.concatenate([np.arange(59), np.full(30, 99)])
    found = slice_by_word(cut_captions(captions), Outcomes(np.ones(89, dtype=np.int64), groups), Draws(0, 0))
    assert {one.key for one in [*found.worst, *found.best]} <= {"草地", "狗"}
    assert (
        slice_by_word(cut_captions(["狗"]), Outcomes(np.array([1]), np.array([0])), Draws(0, 0)).tested == 0
    )
