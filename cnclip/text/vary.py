"""Random variation of training captions, as a pure function of caption, random generator and policy.

Nothing here contradicts a picture: negations, numbers, colours, places (左右上下前后里外) and what they
belong to always stay, and so do words in Latin letters (sizes, models, brands); clauses change places only as
a whole. What may be lost is a detail.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import zip_longest

import numpy as np

from cnclip.errors import RecipeError
from cnclip.text.clauses import find_borders, join_clauses, split_clauses
from cnclip.text.segment import segment_words
from cnclip.text.synonyms import Synonyms
from cnclip.text.wordkinds import droppable, is_word

_DRAWS = 4  # random numbers per word: lost, replaced, by which, exchanged


@dataclass(frozen=True)
class CaptionPolicy:
    """How far captions may vary; the defaults change nothing.

    Attributes:
        word_dropout: probability of losing each word that may be lost.
        segment_shuffle: probability that the clauses between commas, or the keywords between spaces, change
            places.
        synonym_probability: of each word that has synonyms; it needs a file of them.
        word_shuffle: probability that a word changes places with the next one in its clause. It changes who
            does what to whom: no policy with a name does it.
    """

    word_dropout: float = 0.0
    segment_shuffle: float = 0.0
    synonym_probability: float = 0.0
    word_shuffle: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that are no probability: RecipeError names the field."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise RecipeError(f"captions: {field.name} is {value}; it must be from 0 to 1")


CAPTION_POLICIES = {
    "none": CaptionPolicy(),
    "light": CaptionPolicy(word_dropout=0.05, segment_shuffle=0.3, synonym_probability=0.1),
    "strong": CaptionPolicy(word_dropout=0.15, segment_shuffle=0.6, synonym_probability=0.3),
}


def vary_caption(
    caption: str, rng: np.random.Generator, policy: CaptionPolicy, synonyms: Synonyms | None = None
) -> str:
    """One random variation of a caption; the same arguments always give the same words.

    Args:
        caption: best cleaned by `normalize_caption` first.
        rng: one for each caption: how many numbers it gives depends on the caption.
        policy: how far to go; "none" returns the caption itself and draws nothing.
        synonyms: from `read_synonyms`; None = no word is replaced.

    Returns:
        A caption with at least one word, if the caption had one.

    Raises:
        ResourceError: jieba is not installed.
    """
    if policy == CAPTION_POLICIES["none"]:
        return caption
    parts, gaps = split_clauses(caption)
    words = [segment_words(part) if part else [] for part in parts]
    draws = rng.random(1 + len(parts) + _DRAWS * sum(map(len, words))).tolist()
    shuffled, keys = draws.pop() < policy.segment_shuffle, draws[: len(parts)]
    first = len(parts)
    varied = []
    for part in words:
        after = first + _DRAWS * len(part)
        varied.append(_varied(part, draws[first:after], policy, synonyms))
        first = after
    if not shuffled or not gaps:
        return "".join(piece for pair in zip_longest(varied, gaps, fillvalue="") for piece in pair)
    return join_clauses(varied, gaps, find_borders(words, gaps), keys)


def _varied(words: list[str], draws: list[float], policy: CaptionPolicy, synonyms: Synonyms | None) -> str:
    """One clause with words lost, replaced and exchanged, as one string."""
    if synonyms is not None and policy.synonym_probability:
        words = _whole(words, synonyms)
    losses, replacements, choices, exchanges = (draws[use::_DRAWS] for use in range(_DRAWS))
    free = droppable(words)
    kept = [place for place in range(len(words)) if not (free[place] and losses[place] < policy.word_dropout)]
    if any(free) and not any(is_word(words[place]) for place in kept):
        kept.append(max((place for place in range(len(words)) if free[place]), key=losses.__getitem__))
        kept.sort()
    order = list(kept)
    for turn in range(len(order) - 1):
        if exchanges[turn] < policy.word_shuffle:
            order[turn], order[turn + 1] = order[turn + 1], order[turn]
    text, last = "", -1
    for place in order:
        word = words[place]
        others = synonyms.others.get(word) if synonyms is not None else None
        if others and replacements[place] < policy.synonym_probability:
            word = others[int(choices[place] * len(others))]
        if place != last + 1 and text and _is_latin(text[-1]) and _is_latin(word[0]):
            text += " "
        text, last = text + word, place
    return text


def _whole(words: list[str], synonyms: Synonyms) -> list[str]:
    """Words of the synonyms in one piece where jieba has cut them."""
    joined: list[str] = []
    place = 0
    while place < len(words):
        length, count = 0, 1
        for after in range(place, len(words)):
            length += len(words[after])
            if length > synonyms.longest:
                break
            if "".join(words[place : after + 1]) in synonyms.others:
                count = after + 1 - place
        joined.append("".join(words[place : place + count]))
        place += count
    return joined


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()
