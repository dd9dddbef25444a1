"""The one cleaning of captions."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.text.normalize import FULL_WIDTH_KEPT, normalize_caption
from cnclip.text.wordpiece import UNK_ID, encode_ids

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates, too


@pytest.mark.parametrize(
    ("caption", "cleaned"),
    [
        ("１２３ＡＢＣａｂｃ", "123ABCabc"),
        ("５０％＋１＝＃", "50%+1=#"),
        ("“引号”和‘单引号’", "\"引号\"和'单引号'"),
        ("„a‟ ‚b‛", "\"a\" 'b'"),
        ("\u3000全角\u3000\u3000空格\t\n换行\r\n ", "全角 空格 换行"),
        ("零\u200b宽\u200d字\ufeff符\u00ad\u2060", "零宽字符"),
        ("右\u202e左\u2066", "右左"),
        ("控\x00制\x07\x1b", "控制"),
        ("第一行\u2028第二行\x0b第三行\x85", "第一行 第二行 第三行"),
        ("坏\ufffd字", "坏字"),
        ("", ""),
        (" \u3000\u200b ", ""),
    ],
)
def test_forms_that_mean_the_same_become_one(caption: str, cleaned: str) -> None:
    assert normalize_caption(caption) == cleaned


@pytest.mark.parametrize(
    "caption",
    [
        "你好，世界！真的？是：一；二（三）～。、《书》【题】「话」…—·￥",
        "繁體中文與简体字",
        "Hello World",
        "笑😂 爱❤\ufe0f",
        "龘𠀀 ｱｲｳ",
        'don\'t-stop "x"',
    ],
)
def test_ordinary_text_stays(caption: str) -> None:
    assert normalize_caption(caption) == caption


def test_kept_full_width_forms_are_in_the_vocabulary_as_they_are() -> None:
    for character in FULL_WIDTH_KEPT:
        assert UNK_ID not in encode_ids(character)[0], character


def test_no_full_width_form_becomes_unknown() -> None:
    for codepoint in range(0xFF01, 0xFF5F):
        assert UNK_ID not in encode_ids(chr(codepoint))[0], hex(codepoint)


@pytest.mark.parametrize("caption", ["\ud800", "猫\udc00狗", "a\ud83d b"])
def test_a_lone_surrogate_can_be_stored_afterwards_and_is_unknown_to_the_model(caption: str) -> None:
    assert normalize_caption(caption).encode("utf-8")
    assert UNK_ID in encode_ids(caption)[0]


@given(ANY_TEXT)
def test_cleaning_twice_is_cleaning_once(caption: str) -> None:
    once = normalize_caption(caption)
    assert normalize_caption(once) == once
    assert once == once.strip() and "  " not in once


@given(ANY_TEXT)
def test_cleaned_text_can_always_be_encoded(caption: str) -> None:
    normalize_caption(caption).encode("utf-8")


def test_cleaning_and_word_pieces_need_no_torch() -> None:
    code = (
        "import sys, cnclip.text.normalize, cnclip.text.wordpiece; raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
