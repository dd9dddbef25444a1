"""Which characters a caption is written in: simplified or traditional, full or half width, which language.

Simplified and traditional are told apart by two national character sets: what GB 2312 has and Big5 has not is
simplified (国, 猫), the reverse is traditional (國, 貓), and all else is both or neither (一, 山, 🐼).
"""

from __future__ import annotations

import re
from functools import lru_cache

SIMPLIFIED, TRADITIONAL = 1, 2
NO_LETTERS, CHINESE, CHINESE_AND_OTHER, LATIN, OTHER = range(5)
FULL_WIDTH, HALF_WIDTH, CHINESE_MARKS, HALF_WIDTH_MARKS = 1, 2, 4, 8

_IDEOGRAPH = "㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff〇"
_is_ideograph = re.compile(rf"[{_IDEOGRAPH}]").match
_full_width = re.compile("[０-９Ａ-Ｚａ-ｚ]").search
_half_width = re.compile("[0-9A-Za-z]").search
_chinese_marks = re.compile("[，。！？：；（）]").search
_half_width_marks = re.compile(rf"(?<=[{_IDEOGRAPH}])[,.!?:;()]|[,.!?:;()](?=[{_IDEOGRAPH}])").search


def scripts_of(caption: str) -> int:
    """SIMPLIFIED, TRADITIONAL, both of them (3), or 0 where every character is in both."""
    found = 0
    for character in caption:
        if character > "\u3400":
            found |= _script_of(character)
    return found


def widths_of(caption: str) -> int:
    """The sum of what the uncleaned caption has.

    FULL_WIDTH or HALF_WIDTH letters and digits; CHINESE_MARKS, such as `，`; HALF_WIDTH_MARKS beside an
    ideograph, such as the comma of `猫,狗`.
    """
    found = FULL_WIDTH * bool(_full_width(caption)) | HALF_WIDTH * bool(_half_width(caption))
    found |= CHINESE_MARKS * bool(_chinese_marks(caption))
    return found | HALF_WIDTH_MARKS * bool(_half_width_marks(caption))


def language_of(caption: str) -> int:
    """What the letters are: CHINESE only, CHINESE_AND_OTHER, LATIN only, OTHER, or NO_LETTERS at all."""
    chinese = latin = other = False
    for character in caption:
        if _is_ideograph(character):
            chinese = True
        elif character.isalpha():
            latin |= character <= "\u024f" or "\u1e00" <= character <= "\u1eff"
            other |= not (character <= "\u024f" or "\u1e00" <= character <= "\u1eff")
    if chinese:
        return CHINESE_AND_OTHER if latin or other else CHINESE
    return OTHER if other else LATIN if latin else NO_LETTERS


@lru_cache(maxsize=1 << 16)
def _script_of(character: str) -> int:
    if not _is_ideograph(character):
        return 0
    in_gb2312, in_big5 = _has(character, "gb2312"), _has(character, "big5")
    if in_gb2312 == in_big5:
        return 0
    return SIMPLIFIED if in_gb2312 else TRADITIONAL


def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
