"""tokenizer.json gives our ids, without our code."""

from __future__ import annotations

import random
import sys

import pytest
from tokenizers import Tokenizer

from cnclip.export.portable_tokenizer import portable_tokenizer
from cnclip.text.wordpiece import encode_ids

HARD = [
    "一只可爱的橘猫，坐在“红色”沙发上！",
    "ＡＢＣ１２３％（全角）；半角(abc)",
    "繁體中文 與 emoji 🐱👨‍👩‍👧 以及罕见字𠮷𪚥",
    "",
    "   ",
    "[CLS] [SEP] [PAD] [UNK] ##ing",
    "ΟΔΟΣ ΣΑΣ Σ' 'Σ Σίσυφος ΆΣ·Β",
    "零宽\u200d字符\ufeff与\u00ad软连字符\x00\x07\ufffd",
    "İstanbul ǅ ﬁ Å é ß ͅ",
    "长" * 300,
    "x" * 300,
    "word " * 100,
    "\ue000私用区\U000f0000",
    "\u3000全角空格\t制表\r\n换行\u2028行\u0085",
    "・·•…—《》「」ー〜㍿①",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    portable_tokenizer(52).save(str(file))
    return Tokenizer.from_file(str(file))


def ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    rows = (tokenizer.encode(text) for text in texts)
    return [row.ids for row in rows]


@pytest.mark.parametrize("text", HARD)
def test_hard_captions_have_our_ids(tokenizer: Tokenizer, text: str) -> None:
    assert ids(tokenizer, [text]) == encode_ids([text])


def test_every_kind_of_character_has_our_ids(tokenizer: Tokenizer) -> None:
    characters = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]
    uniform = [
        range(0x3400, 0xA000),
        range(0xAC00, 0xD7A4),
        range(0x18800, 0x18D00),
        range(0x20000, 0x110000),
    ]
    texts = [
        f"a{character}b中"
        for character in characters
        if ord(character) % 61 == 0 or not any(ord(character) in block for block in uniform)
    ]
    for start in range(0, len(texts), 20_000):
        part = texts[start : start + 20_000]
        assert ids(tokenizer, part) == encode_ids(part)


def test_random_mixtures_have_our_ids(tokenizer: Tokenizer) -> None:
    chance = random.Random(7)
    alphabet = "ΣσςaAbé\u0301'·. ，“”（ＡＢ１）一只猫[SEP]##ingÅ㍿\u200d\ufe0f🐱\ue000ﬁİıǅ:^\t\n\u3000"
    texts = ["".join(chance.choices(alphabet, k=chance.randint(0, 70))) for _ in range(5000)]
    assert ids(tokenizer, texts) == encode_ids(texts)


def test_batch_is_padded_with_zero_to_its_longest_row(tokenizer: Tokenizer) -> None:
    rows = [row.ids for row in tokenizer.encode_batch(["猫", "两只狗", "长" * 99])]
    assert [len(row) for row in rows] == [52, 52, 52]
    assert rows[0][:4] == [101, 4344, 102, 0] and rows[2][-1] == 102
    assert [len(row.ids) for row in tokenizer.encode_batch(["猫", "两只狗"])] == [5, 5]


def test_shorter_context_is_kept() -> None:
    assert ids(portable_tokenizer(8), ["一二三四五六七八九"]) == encode_ids(["一二三四五六七八九"], 8)
