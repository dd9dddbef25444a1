"""Captions that are cut into words here get the ids that the package gives to the whole text."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.text import wordpiece
from cnclip.text.unicode_tables import Cleaning, prepared_text
from cnclip.text.wordpiece import encode_ids

ALPHABET = "aZ09 \t\n红色的猫一龥㐀䶵龦鿿，。！“”‘’…—·～（）《》[]#$-_`~^éΣ😂１"
MARKS = [c for c in map(chr, range(0x10000)) if re.fullmatch(f"[{wordpiece._ALONE}]", c)]


def whole_text_ids(text: str, clean: Cleaning) -> list[int]:
    ids = wordpiece._tokenizer().encode(prepared_text(text, clean), add_special_tokens=False).ids
    return [wordpiece.CLS_ID, *ids, wordpiece.SEP_ID]


@pytest.mark.parametrize("clean", ["cnclip", "cn_clip"])
@given(text=st.text(st.sampled_from(ALPHABET), max_size=30))
def test_ids_are_those_of_the_whole_text(text: str, clean: Cleaning) -> None:
    assert encode_ids(text, context_length=512, clean=clean) == [whole_text_ids(text, clean)]


@pytest.mark.parametrize("clean", ["cnclip", "cn_clip"])
def test_every_character_between_letters(clean: Cleaning) -> None:
    for character in MARKS:
        text = f"ab{character}cd{character}{character}7"
        assert encode_ids(text, clean=clean) == [whole_text_ids(text, clean)], ascii(text)


def test_characters_that_stand_alone_are_ideographs_or_punctuation() -> None:
    assert len(MARKS) > 27_000
    for character in MARKS:
        ideograph = "\u3400" <= character <= "\u4db5" or "\u4e00" <= character <= "\u9fa5"
        ascii_mark = character.isascii() and not character.isalnum() and character.isprintable()
        assert ideograph or ascii_mark or unicodedata.category(character).startswith("P")


def test_words_longer_than_bert_allows_are_unknown() -> None:
    assert encode_ids("猫" + "x" * 201 + "猫") == [[101, 4344, 100, 4344, 102]]
