"""Opt-in rewriting of captions: what each rule changes, what it leaves, and that twice is once."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.errors import ResourceError
from cnclip.text.rewrite import (
    Boilerplate,
    Rewriter,
    half_width,
    phrase_cutter,
    simplifier,
    tidy_spaces,
    without_entities,
)

OPENCC = find_spec("opencc") is not None
PIECES = [
    *("一只猫", "兩隻貓", "乾坤", "乾燥", "薴", "ＡＢＣ１２３", "，", "（", "：", "-", "a"),
    *("＆ｌｔ；", "&lt;", "&amp;", "amp;", "lt;", "b&gt;", "&#65308;", "&#0;"),
    *("<b>", "</p>", "<", "p>", "<!--", "-->", "<script>", "</script>"),
    *(" ", "\u3000", "\n", "\u200b", "\u200d", "\ufe0f", "👩", "🚀", "🏴\U000e0067\U000e007f", "\U000e0067"),
    *("\x07", "图片来源：网络", "图片", "来源：网络", "包邮"),
]
CAPTIONS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(codec="utf-8"), max_size=3), max_size=12)


@given(CAPTIONS.map("".join), st.booleans(), st.integers(0, 31))
def test_a_rewritten_caption_is_not_changed_again(caption: str, punctuation: bool, chosen: int) -> None:
    rules = {
        "entities": without_entities,
        "full-width": partial(half_width, punctuation=punctuation),
        "simplify": simplifier() if OPENCC else str,
        "spaces": tidy_spaces,
        "boilerplate": phrase_cutter(Boilerplate(["图片来源：网络"], starts=["一只猫"], ends=["包邮", "，"])),
    }
    named = [name for place, name in enumerate(rules) if chosen >> place & 1]
    rewriter = Rewriter({name: rules[name] for name in named})
    once = rewriter(caption)
    assert rewriter(once.caption) == (once.caption, ())
    assert bool(once.rules) == (once.caption != caption)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("红&amp;amp;lt;绿&nbsp;蓝", "红<绿\xa0蓝"),
        ("&#x732B;&#29399;&copy;", "猫狗©"),
        ("<p>一只<b>猫</b></p><br/>和<a href='x'>狗</a>", "一只猫 和狗"),
        ("猫<!-- 广告 --><script>var a = 1 < 2;</script>", "猫"),
        ("A&T 1 < 2 > 0 <3 <猫> &unknown; R&D", "A&T 1 < 2 > 0 <3 <猫> &unknown; R&D"),
        ("<<b>i>猫</<b>p>狗", "猫 狗"),
        ("&notit; &copy 2026", "&notit; &copy 2026"),  # browsers would guess
        ("两个  空格", "两个  空格"),
    ],
)
def test_entities_and_tags(before: str, after: str) -> None:
    assert Rewriter({"entities": without_entities})(before).caption == after


def test_full_width_letters_and_only_on_request_chinese_punctuation() -> None:
    caption = "ＡＢＣ１２３％，（全角）！￥、。《》"
    assert half_width(caption) == "ABC123%，（全角）！￥、。《》"
    assert half_width(caption, punctuation=True) == "ABC123%,(全角)!￥、。《》"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\u3000一只\t\r\n猫 \xa0", "一只 猫"),
        ("零\u200b宽\ufeff与\u202e控\x07制\xad", "零宽与控制"),
        ("👨‍👩‍👧 🏳️‍🌈 👩🏽‍🚀 ❤️‍🔥", "👨‍👩‍👧 🏳️‍🌈 👩🏽‍🚀 ❤️‍🔥"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"),
        ("猫\u200d狗\U000e0067", "猫狗"),
        ("\u200b\u3000", ""),
    ],
)
def test_spaces_and_invisible_characters(before: str, after: str) -> None:
    assert tidy_spaces(before) == after


@pytest.mark.skipif(not OPENCC, reason="OpenCC is not installed")
def test_simplifying_goes_by_words_and_leaves_what_is_simplified() -> None:
    simplify = simplifier()
    assert simplify("兩隻貓坐在乾淨的台階上，頭髮與發展🐼𠮷") == "两只猫坐在干净的台阶上，头发与发展🐼𠮷"
    assert simplify("乾坤與皇后") == "乾坤与皇后"
    assert simplify("一只猫在皇后后面，著名的专著，公里") == "一只猫在皇后后面，著名的专著，公里"


def test_a_missing_opencc_is_told_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opencc", None)
    with pytest.raises(ResourceError, match=r'pip install "cnclip\[clean\]"'):
        simplifier()


def test_phrases_are_cut_with_the_separators_beside_them() -> None:
    anywhere = phrase_cutter(Boilerplate(["图片来源：网络", "来源"]))
    assert anywhere("图片来源：网络，一只猫") == "一只猫"
    assert anywhere("一只猫 | 图片来源：网络") == "一只猫"
    assert anywhere("a 图片来源：网络 b") == "a b"
    assert anywhere("图片来源：网络") == ""
    edges = phrase_cutter(Boilerplate(starts=["这是一张"], ends=["高清大图"]))
    assert edges("这是一张猫的照片 - 高清大图") == "猫的照片"
    assert edges("猫，这是一张高清大图片") == "猫，这是一张高清大图片"


def test_rules_that_undo_each_other_end_too() -> None:
    there, back = (lambda text: text.replace("甲", "乙")), (lambda text: text.replace("乙", "甲"))
    rewriter = Rewriter({"there": there, "back": back})
    assert rewriter("甲") == ("甲", ())
    swapping = Rewriter({"swap": lambda text: text.translate({ord("甲"): "乙", ord("乙"): "甲"})})
    assert swapping("甲") == swapping(swapping("甲").caption)


def test_the_rules_that_changed_a_caption_are_named() -> None:
    rewriter = Rewriter({"entities": without_entities, "full-width": half_width, "spaces": tidy_spaces})
    assert rewriter("＆lt;b> 猫") == ("猫", ("full-width", "entities"))
    assert rewriter("一只猫") == ("一只猫", ())
