"""`tokenizer.json`: our cleaning, word pieces, truncation and padding for the `tokenizers` package.

Whoever loads the file gets the ids of `cnclip.tokenize` without our code, in any language the package exists
for: nothing has to clean captions first. The cleaning is read off the tables that `cnclip.tokenize` uses.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from cnclip.text.unicode_tables import CLEANINGS
from cnclip.text.wordpiece import CLS_ID, MAX_WORD_CHARACTERS, PAD_ID, SEP_ID, vocabulary

_IGNORABLE_RUN = 3  # marks between Σ and the letter before it that the rule looks past
_WORD_BREAK_MIDDLE = "'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a"


def portable_tokenizer(context_length: int) -> Tokenizer:
    """A tokenizer whose `encode_batch` gives our ids: [CLS], pieces, [SEP], padding.

    Equal for every string that UTF-8 can hold, but for a Σ more than three marks after its letter.

    Args:
        context_length: most ids in a row; rows are padded with id 0 to the longest of a batch.
    """
    cleaning, apart = _cleaning_steps()
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary(), unk_token="[UNK]", max_input_chars_per_word=MAX_WORD_CHARACTERS)
    )
    bert = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
    )
    tokenizer.normalizer = normalizers.Sequence([*cleaning, *_final_sigma(), bert])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(apart), "isolated"), pre_tokenizers.BertPreTokenizer()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS_ID), ("[SEP]", SEP_ID)]
    )
    tokenizer.enable_truncation(context_length)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token="[PAD]")
    return tokenizer


def _cleaning_steps() -> tuple[list[normalizers.Replace], str]:
    """Replacements that do the cleaning, and the class of characters that are words of their own."""
    table = CLEANINGS["cnclip"]
    apart: list[int] = []
    replaced: dict[str, list[int]] = {}
    for codepoint in _characters():
        character, result = chr(codepoint), table[codepoint]
        if result == f" {character} ":
            apart.append(codepoint)
        elif result != character:
            replaced.setdefault(result or "", []).append(codepoint)
    steps = [
        normalizers.Replace(Regex(_character_class(codepoints)), result)
        for result, codepoints in replaced.items()
    ]
    return steps, _character_class(apart)


def _final_sigma() -> list[normalizers.Replace]:
    """Σ at the end of a word becomes ς, as in Python's `str.lower`; the package's lower case is always σ."""
    cased = _character_class(c for c in _characters() if chr(c).lower() != chr(c) or chr(c).upper() != chr(c))
    ignorable = _character_class(c for c in _characters() if _is_case_ignorable(chr(c)))
    before = "|".join(cased + ignorable * count for count in range(_IGNORABLE_RUN + 1))
    return [normalizers.Replace(Regex(f"(?<={before})Σ(?!{ignorable}*{cased})"), "ς")]


def _is_case_ignorable(character: str) -> bool:
    """Unicode's property of that name (The Unicode Standard, section 3.13, D136)."""
    return (
        unicodedata.category(character) in {"Mn", "Me", "Cf", "Lm", "Sk"} or character in _WORD_BREAK_MIDDLE
    )


def _characters() -> Iterator[int]:
    """Every code point but the surrogates, which no UTF-8 text has."""
    yield from range(0xD800)
    yield from range(0xE000, sys.maxunicode + 1)


def _character_class(codepoints: Iterable[int]) -> str:
    """A regular expression for one of these; with the characters themselves, so that all engines read it."""
    parts = []
    for _, run in groupby(enumerate(codepoints), key=lambda pair: pair[1] - pair[0]):
        block = [codepoint for _, codepoint in run]
        first, last = (re.escape(chr(end)) for end in (block[0], block[-1]))
        parts.append(first if len(block) == 1 else f"{first}-{last}")
    return f"[{''.join(parts)}]"
