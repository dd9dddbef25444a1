"""Sketches of captions and the facts drawn from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from cnclip.stores.doctor import Tools
from cnclip.stores.doctor.caption_facts import CaptionFacts, Counted, Measured, caption_facts
from cnclip.stores.doctor.captions import NOT_CUT, CaptionSketches, sketch_captions, unknown_parts
from cnclip.stores.doctor.histogram import histogram
from cnclip.stores.reader import StoreReader
from cnclip.text.wordpiece import token_statistics

Look = Callable[..., tuple[CaptionSketches, CaptionFacts]]


@pytest.fixture
def look(
    make_store: Callable[..., StoreReader], tools: Tools, picture: Callable, encode: Callable[..., bytes]
) -> Look:
    """Sketches and facts of captions, all of one picture."""

    def measure(
        *captions: str, context_length: int = 52, most: int = 5
    ) -> tuple[CaptionSketches, CaptionFacts]:
        reader = make_store([("图.png", encode(picture(1)), captions)])
        found = sketch_captions(reader, 0, reader.text_count, tools, context_length)
        facts = caption_facts(
            found.rows,
            found.unknown,
            lambda index: tools.clean(reader.text(index).caption),
            context_length=context_length,
            most=most,
        )
        return found, facts

    return measure


def test_tokens_are_counted_with_both_special_ones_and_cut_at_the_context(look: Look) -> None:
    found, facts = look("一只猫", "一只猫在草地上", "两只狗", context_length=6)
    assert found.rows["tokens"].tolist() == [5, 9, 5]
    assert (facts.truncated, facts.most_tokens, facts.median_tokens) == (1, 9, 5)
    assert facts.pieces == 3 + 4 + 3
    assert facts.longest[0] == Measured("一只猫在草地上", 9)


def test_a_caption_that_fills_the_context_exactly_is_not_truncated(look: Look) -> None:
    assert look("猫" * 50, "狗" * 51)[1].truncated == 1


def test_truncation_and_unknown_shares_equal_those_of_the_tokenizer(look: Look) -> None:
    captions = ["一只猫", "龇牙的狗𠮷", "很长" * 40, "a cute 🐼 panda", "２０２６年，“红色”"]
    facts = look(*captions)[1]
    expected = token_statistics(captions)
    assert (facts.count, facts.truncated) == (expected.captions, expected.truncated)
    assert (facts.pieces, facts.unknown) == (expected.tokens, expected.unknown)


def test_the_context_length_that_keeps_99_of_100_captions(look: Look) -> None:
    facts = look(*[f"{'猫' * 10}{number:02d}" for number in range(99)], "狗" * 70, context_length=10)[1]
    assert facts.whole_length == 13  # ten ideographs, one number, two special tokens
    assert facts.truncated == 100


def test_unknown_characters_are_named_by_the_captions_they_spoil(look: Look) -> None:
    found, facts = look("龇牙的狗", "龇牙的猫龇", "𠮷野家", "猫")
    assert found.unknown == Counter({"龇": 2, "𠮷": 1})
    assert facts.unknown_parts == [Counted("龇", 2), Counted("𠮷", 1)]
    assert facts.unknown == 4


def test_a_word_is_named_where_no_character_of_it_is_unknown_alone(tools: Tools) -> None:
    word = "a" * 201
    assert tools.unknown_id in tools.pieces(word)
    assert unknown_parts(f"猫 {word}", tools) == {"a" * 20}


def test_captions_with_nothing_left_are_empty(look: Look) -> None:
    assert look("\u200b\u200d猫", "\ufffd")[1].empty == 1


def test_the_same_words_in_other_widths_and_cases_are_one_caption(look: Look) -> None:
    found, facts = look("穿Ｔ恤的人", "穿t恤的人", "穿T恤的狗")
    assert found.rows["text_key"][0] == found.rows["text_key"][1] != found.rows["text_key"][2]
    assert len(set(found.rows["raw_key"].tolist())) == 3
    assert facts.different == 2
    assert facts.repeated == [Counted("穿T恤的人", 2)]


def test_captions_equal_up_to_the_cut_or_but_for_unknown_ones_are_merged(look: Look) -> None:
    found, facts = look("红色的猫在左边", "红色的猫在右边", "龇", "𠮷", "蓝色的猫", context_length=7)
    assert found.rows["input_key"][0] == found.rows["input_key"][1]
    assert (facts.different, facts.merged) == (5, 2)


def test_labels_have_at_most_two_words(look: Look) -> None:
    found, facts = look(
        "猫", "猫", "草地。", "红色 汽车", "一只猫在草地上奔跑", "这一句话比标签长得多而且还没有结束呢"
    )
    assert found.rows["words"].tolist()[:4] == [1, 1, 1, 2]
    assert found.rows["words"][4] > 2 and found.rows["words"][5] == NOT_CUT
    assert facts.labels == 4
    assert facts.frequent_labels == [Counted("猫", 2)]


def test_common_beginnings_and_endings_are_told_once_at_their_full_length(look: Look) -> None:
    captions = [f"这是一张图片，上面有{thing}，高清摄影" for thing in "猫狗鸟鱼牛羊马"] + ["完全不同的一句话"]
    facts = look(*captions, *captions[:1] * 5)[1]
    # Of eight different captions seven share them; the repeated one counts once.
    assert facts.starts == [Counted("这是一张图片，上", 7)]
    assert facts.ends == [Counted("高清摄影", 7)]


def test_three_captions_make_a_pattern_and_two_do_not(look: Look) -> None:
    assert look("今天天气好啊", "今天天气坏啊")[1].starts == []
    assert look("今天天气好啊", "今天天气坏啊", "今天天气怪啊")[1].starts == [Counted("今天天气", 3)]


def test_a_caption_that_is_all_beginning_has_none(look: Look) -> None:
    assert look("今天天气", "今天天气。", "今天天气！", "另外一句话")[1].starts == []


def test_scripts_widths_and_languages_are_counted(look: Look) -> None:
    facts = look("红色的猫", "紅色的貓", "红色的貓", "小山", "穿T恤,２号的人。", "a cat")[1]
    assert facts.scripts == {
        "不分简繁 neither": 2,
        "简体 simplified": 2,  # 号, too
        "繁体 traditional": 1,
        "简繁混用 both": 1,
    }
    assert facts.languages == {"中文 Chinese": 4, "中外混合 Chinese and other": 1, "拉丁 Latin": 1}
    assert list(facts.widths.values()) == [1, 1, 1, 1]


def test_examples_are_bounded(look: Look) -> None:
    facts = look(*[f"第{n // 2}句话很不一样" for n in range(40)], most=3)[1]
    assert len(facts.repeated) == len(facts.longest) == 3


def test_histogram_bins_hold_their_lower_edge() -> None:
    found = histogram(np.array([2, 4, 5, 9, 10, 99]), (2, 5, 10))
    assert found.counts == (2, 2, 2)
    assert found.labels == ["2–4", "5–9", "≥ 10"]
    assert histogram(np.array([], dtype=np.int64), (2, 5)).counts == (0, 0)
    assert histogram(np.array([1.0, 1.2, 3.0]), (1, 1.1, 2)).labels == ["1–1.1", "1.1–2", "≥ 2"]
