"""One wrong character in a caption: a word of grammar mixed up, a homophone, a look-alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from cnclip.evaluation.perturb.homophones import CONFUSIONS, HOMOPHONES
from cnclip.evaluation.perturb.lookalikes import LOOKALIKES
from cnclip.evaluation.perturb.words import located_words, one_of, replaced

_ALONE = frozenset("的得地")  # 草地, 得到, 目的 are words that nobody writes otherwise


def confused_particle(caption: str, rng: np.random.Generator) -> str | None:
    """的得地, 在再, 做作, 坐座 …: one of them for another; None where the caption has none.

    Raises:
        ResourceError: jieba is not installed.
    """
    if not any(character in _CONFUSED for character in caption):
        return None
    places = [
        word.start + offset
        for word in located_words(caption)
        for offset, character in enumerate(word.text)
        if character in _CONFUSED and (character not in _ALONE or len(word.text) == 1)
    ]
    return _replaced(caption, places, _CONFUSED, rng)


def homophone(caption: str, rng: np.random.Generator) -> str | None:
    """One character replaced by one of the same syllable; None where the table knows none of the caption."""
    return _anywhere(caption, _SOUNDING, rng)


def look_alike(caption: str, rng: np.random.Generator) -> str | None:
    """One character replaced by one that looks like it; None where the table knows none of the caption."""
    return _anywhere(caption, _LOOKING, rng)


def _others(groups: Iterable[str]) -> dict[str, str]:
    """Character -> the other characters of its group."""
    return {character: group.replace(character, "") for group in groups for character in group}


_CONFUSED = _others(CONFUSIONS.values())
_SOUNDING = _others(HOMOPHONES.values())
_LOOKING = _others(LOOKALIKES)


def _anywhere(caption: str, others: Mapping[str, str], rng: np.random.Generator) -> str | None:
    places = [place for place, character in enumerate(caption) if character in others]
    return _replaced(caption, places, others, rng)


def _replaced(
    caption: str, places: list[int], others: Mapping[str, str], rng: np.random.Generator
) -> str | None:
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    return replaced(caption, place, place + 1, one_of(others[caption[place]], rng))
