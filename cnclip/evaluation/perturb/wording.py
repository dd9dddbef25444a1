"""The same request in other words, or with marks, blanks and emoji; and with less in it or out of order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from cnclip.evaluation.perturb.equivalents import EQUIVALENTS
from cnclip.evaluation.perturb.words import located_words, one_of, replaced
from cnclip.text.clauses import find_borders, join_clauses, split_clauses
from cnclip.text.segment import segment_words
from cnclip.text.wordkinds import is_word

_HAN = re.compile("[㐀-鿿]")
_ENDINGS = ("。", "！", "！！", "……", "~")
_EMOJI = ("😊", "👍", "✨", "😄", "🎉")  # moods that say nothing about a picture


def without_punctuation(caption: str, rng: np.random.Generator) -> str | None:
    """All punctuation left out, a blank where it parted two clauses; None where there is none.

    A mark between two digits stays: 1,000 and 3.5 are numbers.
    """
    del rng
    kept = [
        " " if _is_mark(character) and not _inside_number(caption, place) else character
        for place, character in enumerate(caption)
    ]
    changed = " ".join("".join(kept).split())
    return changed if changed and changed != caption else None


def more_punctuation(caption: str, rng: np.random.Generator) -> str | None:
    """Another mark, or one more, at the end."""
    body = caption.rstrip()
    while body and _is_mark(body[-1]):
        body = body[:-1].rstrip()
    endings = [ending for ending in _ENDINGS if body + ending != caption]
    return body + one_of(endings, rng) if body else None


def with_emoji(caption: str, rng: np.random.Generator) -> str | None:
    """A cheerful emoji at the end, as in a message; None for an empty caption."""
    return caption + one_of(_EMOJI, rng) if caption.strip() else None


def spaced(caption: str, rng: np.random.Generator) -> str | None:
    """A blank between the words, as search boxes are often filled; None for a single word."""
    del rng
    text, place = "", 0
    for word in located_words(caption):
        gap = caption[place : word.start]
        parted = text and is_word(word.text) and (_HAN.match(text[-1]) or _HAN.match(word.text))
        text += (gap or (" " if parted else "")) + word.text
        place = word.end
    text += caption[place:]
    return text if text != caption else None


def clause_order(caption: str, rng: np.random.Generator) -> str | None:
    """Clauses or keywords in another order, none of them changed; None where they cannot change places."""
    parts, gaps = split_clauses(caption)
    if not gaps:
        return None
    words = [segment_words(part) if part else [] for part in parts]
    keys = rng.random(len(parts)).tolist()
    borders = find_borders(words, gaps)
    changed = join_clauses(parts, gaps, borders, keys)
    if changed == caption:
        changed = join_clauses(parts, gaps, borders, [-place for place in range(len(parts))])
    return changed if changed != caption else None


def word_order(caption: str, rng: np.random.Generator) -> str | None:
    """The words of each clause in a random order; None where no clause has two different words."""
    parts, gaps = split_clauses(caption)
    text = ""
    for part, gap in zip(parts, (*gaps, ""), strict=True):
        words = segment_words(part) if part else []
        order = rng.permutation(len(words))
        if len(words) > 1 and all(order == np.arange(len(words))):
            order = np.roll(order, 1)
        text += _joined([words[place] for place in order]) + gap
    return text if text != caption else None


def truncated(caption: str, rng: np.random.Generator) -> str | None:
    """The first half of the words, rounded up; None for fewer than two."""
    del rng
    words = [word for word in located_words(caption) if is_word(word.text)]
    return caption[: words[(len(words) - 1) // 2].end] if len(words) > 1 else None


def with_synonym(caption: str, rng: np.random.Generator) -> str | None:
    """One word replaced by another of the same meaning; None where the table knows none of the caption's."""
    known = [word for word in located_words(caption) if word.text in EQUIVALENTS.others]
    if not known:
        return None
    word = known[int(rng.integers(len(known)))]
    return replaced(caption, word.start, word.end, one_of(EQUIVALENTS.others[word.text], rng))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P") or character in "~～"


def _inside_number(caption: str, place: int) -> bool:
    before, after = caption[max(0, place - 1) : place], caption[place + 1 : place + 2]
    return before.isdecimal() and after.isdecimal()


def _joined(words: Sequence[str]) -> str:
    """Words put together; two in Latin letters have a blank between them."""
    text = ""
    for word in words:
        latin = text[-1:].isascii() and text[-1:].isalnum() and word[0].isascii() and word[0].isalnum()
        text += (" " if text and latin else "") + word
    return text
