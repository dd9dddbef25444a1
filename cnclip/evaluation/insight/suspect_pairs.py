"""Where suspects come from: equal pictures, equal captions, covered words, mutual first places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.insight.labels import Labels
from cnclip.evaluation.insight.neighbours import Found, Neighbours
from cnclip.evaluation.insight.said import LEAST_WORDS, Said, covers
from cnclip.evaluation.insight.twins import MOST_ALIKE, Twin
from cnclip.evaluation.rows import Indices, Rows

Reason = Literal[
    "same bytes", "same pixels", "near picture", "same caption", "same words", "words covered", "mutual"
]
STRENGTHS: dict[Reason, float] = {
    "same bytes": 1.0,
    "same pixels": 1.0,
    "near picture": 0.95,
    "same caption": 0.9,
    "same words": 0.85,
    "words covered": 0.8,  # of four words and more, 0.1 less for each that is missing
    "mutual": 0.3,
}
_WORDS_FOR_ALL = 4


class SuspectPair(NamedTuple):
    """A pair that may be correct.

    Attributes:
        text, image: their numbers.
        reason: why.
        strength: 0 to 1.
        because: number of the labelled picture that is the same, else of the caption that says so.
    """

    text: int
    image: int
    reason: Reason
    strength: float
    because: int


class Candidates(NamedTuple):
    """Pairs that the model puts before a correct one; int64 [C] each.

    Attributes:
        texts, images: of each pair.
        mutual: bool [C], whether they are each other's first.
    """

    texts: Indices
    images: Indices
    mutual: npt.NDArray[np.bool_]


def from_twins(twins: Iterable[Twin], labels: Labels) -> Iterator[SuspectPair]:
    """The captions of each picture with the other picture that is the same."""
    for twin in twins:
        for one, other in ((twin.first, twin.second), (twin.second, twin.first)):
            for text in labels.texts_of(one):
                if not labels.correct(other, text):
                    yield SuspectPair(text, other, twin.kind, STRENGTHS[twin.kind], one)


def from_captions(said: Mapping[int, Said], labels: Labels) -> tuple[list[SuspectPair], int]:
    """Each caption with the pictures of the captions that are the same or say the same words.

    Args:
        said: captions by number, labelled ones.
        labels: the correct pairs.

    Returns:
        The pairs, and how many captions were left out because more than MOST_ALIKE pictures have them.
    """
    equal: dict[str, list[int]] = defaultdict(list)
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for text, one in said.items():
        if one.key:
            equal[one.key].append(text)
        if len(set(one.words)) >= LEAST_WORDS:
            alike[one.words].append(text)
    found: dict[tuple[int, int], SuspectPair] = {}
    general: set[int] = set()
    groups: list[tuple[Reason, Iterable[list[int]]]] = [
        ("same caption", equal.values()),
        ("same words", alike.values()),
    ]
    for reason, members in groups:
        for texts in members:
            if len({image for text in texts for image in labels.images_of(text)}) > MOST_ALIKE:
                general.update(texts)
                continue
            for pair in _of_group(texts, reason, labels):
                found.setdefault((pair.text, pair.image), pair)
    return list(found.values()), len(general)


def _of_group(texts: Sequence[int], reason: Reason, labels: Labels) -> Iterator[SuspectPair]:
    """Each caption of a group with the pictures of the others."""
    for text in texts:
        for other in texts:
            for image in labels.images_of(other):
                if other != text and not labels.correct(image, text):
                    yield SuspectPair(text, image, reason, STRENGTHS[reason], other)


def candidates(neighbours: Neighbours, texts: int) -> Candidates:
    """Pairs among the neighbours of a labelled query that come before its first correct item.

    Args:
        neighbours: of both directions.
        texts: how many captions there are.
    """
    text, image = _before_correct(neighbours.t2i)
    other_image, other_text = _before_correct(neighbours.i2t)
    keys = np.unique(np.concatenate([image * texts + text, other_image * texts + other_text]))
    images, found = np.divmod(keys, texts)
    mutual = (neighbours.t2i.items[found, 0] == images) & (neighbours.i2t.items[images, 0] == found)
    return Candidates(found, images, mutual)


def from_candidates(
    pairs: Candidates, said: Mapping[int, Said], labels: Labels, text_rows: Rows
) -> Iterator[SuspectPair]:
    """Candidates of which the words, or the neighbourhoods, say that they may be correct.

    Args:
        pairs: what the model puts before the correct item.
        said: the candidates' captions and those of their pictures.
        labels: the correct pairs.
        text_rows: float32 [texts, D], unit length.
    """
    for text, image, mutual in zip(*(part.tolist() for part in pairs), strict=True):
        own = labels.texts_of(image)
        if not own or not labels.images_of(text) or text in own:
            continue
        caption = said[text]
        if covers([said[one] for one in own], caption):
            words = set(caption.words)
            because = max(own, key=lambda one: len(words & set(said[one].words)))
            missing = max(0, _WORDS_FOR_ALL - len(words))
            strength = STRENGTHS["words covered"] - 0.1 * missing
            yield SuspectPair(text, image, "words covered", strength, because)
        elif mutual and _as_near(text_rows[text], text_rows[own]):
            because = own[int(np.argmax(text_rows[own] @ text_rows[text]))]
            yield SuspectPair(text, image, "mutual", STRENGTHS["mutual"], because)


def _as_near(caption: Rows, own: Rows) -> bool:
    """Whether a caption is as near to a picture's captions as these are to each other; False of one."""
    if len(own) < 2:
        return False
    among = own @ own.T
    return float((own @ caption).mean()) >= float(among[np.triu_indices(len(own), 1)].mean())


def _before_correct(found: Found) -> tuple[Indices, Indices]:
    """Queries and the items that come before their first correct one."""
    before = ~np.logical_or.accumulate(found.correct, axis=1)
    return np.nonzero(before)[0], found.items[before]
