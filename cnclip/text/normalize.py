"""The one cleaning of captions, shared by training, evaluation and the public `tokenize`.

What changes, character by character:

* full-width forms of ASCII (U+FF01-FF5E) become half-width: `ＡＢＣ１２３％` -> `ABC123%`, except
  - `，！？：；（）～`, the ordinary punctuation of Chinese: the vocabulary has them, and Chinese BERT learned
    them in this form, and
  - `｀`, because the vocabulary has no half-width backquote and folding it would make an [UNK];
* curly quotes, double and single, become straight ones (no curly quote is in the vocabulary);
* control and zero-width characters and U+FFFD, which the tokenizer ignores anyhow, are removed;
* a lone surrogate, half of a character that was cut in two, becomes U+FFFC: it can be printed and
  stored, and becomes [UNK] as the surrogate itself would;
* every run of white space, U+3000 included, becomes one space; none is left at either end.

Everything else stays: `。、《》【】…—`, traditional characters, emoji, case (the tokenizer lowers it).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

FULL_WIDTH_KEPT = "，！？：；（）～｀"

_FULL_WIDTH_FIRST, _FULL_WIDTH_LAST = 0xFF01, 0xFF5E
_FULL_WIDTH_OFFSET = 0xFEE0
_QUOTES = dict.fromkeys("“”„‟", '"') | dict.fromkeys("‘’‚‛", "'")
_BROKEN_CHARACTER = "\ufffc"


class CharacterTable(dict[int, "str | None"]):
    """A table for `str.translate` that asks a rule about each character once, when it first occurs.

    Filling it at import would cost a tenth of a second for a million characters that never occur.

    Args:
        rule: code point -> what replaces the character; None removes it.
    """

    def __init__(self, rule: Callable[[int], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, codepoint: int) -> str | None:
        replacement = self[codepoint] = self._rule(codepoint)
        return replacement


def normalize_caption(caption: str) -> str:
    """Clean one caption; cleaning it again changes nothing.

    Args:
        caption: any string, lone surrogates included.

    Returns:
        The caption with the changes that this module's docstring lists; empty if nothing is left.
    """
    return " ".join(caption.translate(_TABLE).split())


def clean_character(codepoint: int) -> str | None:
    """What `normalize_caption` makes of one character before white space is collapsed; None: it vanishes."""
    character = chr(codepoint)
    if _FULL_WIDTH_FIRST <= codepoint <= _FULL_WIDTH_LAST and character not in FULL_WIDTH_KEPT:
        return chr(codepoint - _FULL_WIDTH_OFFSET)
    if character in _QUOTES:
        return _QUOTES[character]
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cf") or character == "\ufffd":
        return None
    return _BROKEN_CHARACTER if category == "Cs" else character


_TABLE = CharacterTable(clean_character)
