"""The words of a caption with the places where they stand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnclip.text.segment import segment_words


class Word(NamedTuple):
    """A word of jieba's, or a punctuation mark."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def located_words(caption: str) -> list[Word]:
    """The words of a caption in order; white space between them is passed over.

    Raises:
        ResourceError: jieba is not installed.
    """
    words, place = [], 0
    for text in segment_words(caption):
        word = Word(text, caption.index(text, place))
        words.append(word)
        place = word.end
    return words


def printable(text: str) -> str:
    """The text as UTF-8 can hold it: half a character becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def one_of(choices: str | list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the choices, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def replaced(caption: str, start: int, end: int, new: str) -> str:
    """The caption with another text between two places."""
    return caption[:start] + new + caption[end:]
