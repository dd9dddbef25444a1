"""The pass before the `tokenizers` package: where their Unicode tables differ, the official ids win."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.text.normalize import normalize_caption
from cnclip.text.unicode_tables import prepared_text
from cnclip.text.wordpiece import UNK_ID, encode_ids, vocabulary

OFFICIAL_IDS = {  # cn_clip 1.6, by running it
    "a\u061db a\u2e52b": [101, 143, 100, 144, 143, 100, 144, 102],  # newer punctuation
    "a\u07fdb a\U00013430b": [101, 9386, 9386, 102],  # a newer accent, a newer invisible character
    "中\U0002b820\U0002b91fa": [101, 704, 100, 100, 143, 102],  # ideographs outside the package's ranges
    "a\ue000b a\ud800b": [101, 100, 100, 102],  # private use, half a character
    "a\u166db a\u1734b": [101, 100, 100, 102],
}
IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
SPECIAL_KINDS = ("Mn", "Mc", "Me", "Cc", "Cf", "Zs", "Zl", "Zp", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")


def plain_ids(text: str) -> list[int]:
    """The official rules in their plainest form, by Python's Unicode tables alone."""
    spaced = ""
    for character in text:
        kind = unicodedata.category(character)
        if kind == "Zs" or character in "\t\n\r":
            spaced += " "
        elif kind not in ("Cc", "Cf") and character != "\ufffd":
            ideograph = any(first <= ord(character) <= last for first, last in IDEOGRAPHS)
            spaced += f" {character} " if ideograph else character
    bare = ""
    for character in unicodedata.normalize("NFD", " ".join(word.lower() for word in spaced.split())):
        kind = unicodedata.category(character)
        symbol = character in "$+<=>^`|~"  # ASCII that counts as punctuation, too
        if kind != "Mn":
            bare += f" {character} " if symbol or kind.startswith("P") else character
    return [token_id for word in bare.split() for token_id in plain_word_ids(word)]


def plain_word_ids(word: str) -> list[int]:
    known, ids, start = vocabulary(), [], 0
    while start < len(word) <= 200:
        prefix = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in known), None)
        if end is None:
            return [UNK_ID]
        ids.append(known[prefix + word[start:end]])
        start = end
    return ids or [UNK_ID]


@pytest.mark.parametrize("text", OFFICIAL_IDS)
def test_ids_are_official_where_the_unicode_tables_differ(text: str) -> None:
    assert encode_ids(text, clean="cn_clip") == [OFFICIAL_IDS[text]]


def test_every_mark_space_and_punctuation_follows_the_official_rules() -> None:
    special = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in SPECIAL_KINDS]
    assert len(special) > 2000
    for character in special:
        for text in (character, f"a{character}b", f"中{character}{character}文"):
            assert encode_ids(text, clean="cn_clip")[0][1:-1] == plain_ids(text), ascii(text)


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_follows_the_official_rules(text: str) -> None:
    assert encode_ids(text, clean="cn_clip")[0][1:-1] == plain_ids(text)[:50]
    assert encode_ids(text)[0][1:-1] == plain_ids(normalize_caption(text))[:50]


@given(st.text("ΑαΣσς'.:- \t\x07\x0b\u0301\u200b\ufffd长", max_size=12))
def test_the_two_small_sigmas_follow_the_official_rules(text: str) -> None:
    assert encode_ids(text, clean="cn_clip")[0][1:-1] == plain_ids(text)
    assert encode_ids(text)[0][1:-1] == plain_ids(normalize_caption(text))


def test_ordinary_text_passes_unchanged() -> None:
    text = "Zwei Äpfel, 3.14%: 一只猫😂\n한국어"
    assert prepared_text(text, "cn_clip") == text
