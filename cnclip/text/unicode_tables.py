"""One pass over a text before the `tokenizers` package: cleaning, and what the package sees otherwise.

cn_clip asks Python's `unicodedata` about each character; the package has the tables of an older Unicode.
This pass spells the characters on which they differ so that the package gives the official ids:

* accents and invisible characters (Mn, Cf) go, as they would later; the package does not know the newer ones;
* punctuation outside ASCII is set apart by spaces, for the same reason, and so are the ideographs
  U+2B820-2B91F, which its ranges leave out;
* private use, U+166D and U+1734, which it drops or cuts at, and lone surrogates, which it refuses, become
  U+FFFC: as they do, it makes its word [UNK];
* Σ at the end of a word becomes ς; the package always makes it σ.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

from cnclip.text.normalize import CharacterTable, clean_character, normalize_caption

Cleaning = Literal["cnclip", "cn_clip"]

_UNKNOWN_CHARACTER = "\ufffc"  # in no vocabulary entry
_IGNORED = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0), 0xFFFD))  # but \t \n \r


def prepared_text(text: str, clean: Cleaning) -> str:
    """The text as the package must get it.

    Args:
        text: any string, lone surrogates included.
        clean: "cnclip" has the effect of `normalize_caption` on the ids; "cn_clip" changes no official id.
    """
    if "Σ" in text:  # str.lower looks at the letters around it, past what cn_clip has dropped by then
        text = (normalize_caption(text) if clean == "cnclip" else text.translate(_IGNORED)).lower()
    return text.translate(CLEANINGS[clean])


def _bridged_character(codepoint: int) -> str | None:
    character = chr(codepoint)
    category = unicodedata.category(character)
    if category in ("Mn", "Cf"):
        return None
    if category in ("Co", "Cs") or character in "\u166d\u1734":
        return _UNKNOWN_CHARACTER
    if (category.startswith("P") and not character.isascii()) or 0x2B820 <= codepoint <= 0x2B91F:
        return f" {character} "
    return character


def _cleaned_bridged_character(codepoint: int) -> str | None:
    cleaned = clean_character(codepoint)
    return None if cleaned is None else _bridged_character(ord(cleaned))


CLEANINGS = {  # "cnclip" cleans in the same pass
    "cnclip": CharacterTable(_cleaned_bridged_character),
    "cn_clip": CharacterTable(_bridged_character),
}
