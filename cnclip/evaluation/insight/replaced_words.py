"""Asked for 足球, got 橄榄球: the words in which a caption and the caption of a wrong picture differ.

The two captions are laid beside each other as words that tell something (see said). Where one word stands in
the place of one other word, the two are counted, if they are of the same part of speech, no caption of the
wrong picture holds the word that was asked for, and no caption of the right one the word that was got.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from cnclip.evaluation.insight.caption_words import UNKNOWN, CutCaptions, dictionary_tags
from cnclip.evaluation.insight.labels import Labels
from cnclip.evaluation.insight.said import Said, holds

LEAST_PICTURES = 3  # different right pictures, and two different wrong ones, before a pair of words is told
MOST_WORDS = 50
_EXAMPLES = 3


class Miss(NamedTuple):
    """A caption, its best correct picture, and the wrong picture that stands first."""

    text: int
    right: int
    wrong: int


@dataclass(frozen=True)
class ReplacedWord:
    """Two words of which one was got for the other.

    Attributes:
        asked, got: the words.
        pictures: different right pictures.
        captions: queries.
        asked_captions: all queries with the asked word, found or not.
        examples: some of the queries, each of another right picture.
    """

    asked: str
    got: str
    pictures: int
    captions: int
    asked_captions: int
    examples: tuple[Miss, ...]

    def to_json(self, text_ids: Sequence[str], image_ids: Sequence[str]) -> dict[str, Any]:
        """For results.json."""
        return {
            "asked": self.asked,
            "got": self.got,
            "pictures": self.pictures,
            "captions": self.captions,
            "captions_with_asked": self.asked_captions,
            "examples": [
                {"text_id": text_ids[one.text], "image_id": image_ids[one.wrong]} for one in self.examples
            ],
        }


def replaced_words(
    misses: Iterable[Miss], asked: Iterable[int], said: Mapping[int, Said], labels: Labels
) -> tuple[ReplacedWord, ...]:
    """The pairs of words that are told, the most frequent first.

    Args:
        misses: queries whose first picture is wrong.
        asked: all queries.
        said: what the queries and the captions of their pictures say.
        labels: the correct pairs.
    """
    words = {word for one in said.values() for word in one.words}
    cut = CutCaptions([], dictionary_tags(words))
    found: dict[tuple[str, str], list[Miss]] = defaultdict(list)
    for miss in misses:
        for pair in _differing(miss, said, labels, cut):
            found[pair].append(miss)
    uses = Counter(word for text in asked for word in set(said[text].words))
    told = []
    for (one, other), cases in found.items():
        first = {case.right: case for case in reversed(cases)}
        if len(first) < LEAST_PICTURES or len({case.wrong for case in cases}) < 2:
            continue
        examples = tuple(sorted(first.values())[:_EXAMPLES])
        told.append(ReplacedWord(one, other, len(first), len(cases), uses[one], examples))
    told.sort(key=lambda one: (-one.pictures, -one.captions, one.asked, one.got))
    return tuple(told[:MOST_WORDS])


def _differing(
    miss: Miss, said: Mapping[int, Said], labels: Labels, cut: CutCaptions
) -> set[tuple[str, str]]:
    """(asked word, word got for it) of one query, each pair once."""
    caption = said[miss.text]
    right = [said[text] for text in labels.texts_of(miss.right)]
    wrong = [said[text] for text in labels.texts_of(miss.wrong)]
    found: set[tuple[str, str]] = set()
    for other in wrong:
        for asked, got in _in_place(caption.words, other.words):
            if (asked, got) in found or not _same_kind(asked, got, caption, other, cut):
                continue
            number = asked in caption.numbers
            if not _said_by(wrong, asked, number=number) and not _said_by(right, got, number=number):
                found.add((asked, got))
    return found


def _in_place(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Single words of the first caption, and those that stand in their place in the second."""
    if not set(first) & set(second):
        return  # nothing to lay them side by side by
    for change, start, stop, low, high in SequenceMatcher(None, first, second, False).get_opcodes():
        if change == "replace" and stop - start == 1 == high - low:
            yield first[start], second[low]


def _same_kind(asked: str, got: str, caption: Said, other: Said, cut: CutCaptions) -> bool:
    """Whether both are numbers, or both of one part of speech; a word that nobody knows is of none."""
    numbers = asked in caption.numbers, got in other.numbers
    if any(numbers):
        return all(numbers)
    return bool((cut.classes(asked) & cut.classes(got)) - {UNKNOWN})


def _said_by(captions: Sequence[Said], word: str, *, number: bool) -> bool:
    """Whether a picture's captions have a word; a number only as a number."""
    if number:
        return any(word in one.numbers for one in captions)
    return holds(captions, word)
