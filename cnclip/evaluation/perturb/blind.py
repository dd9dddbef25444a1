"""What can be told of a true and a false caption without the picture.

SugarCrepe (Hsieh et al., 2023, section 2) found that models which never saw a picture win older tests of this
kind, since the false captions were clumsy. The two scores here show whether ours are; neither is a language
model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from cnclip.evaluation.rows import Indices, Scores


class Familiarity:
    """How many of a caption's pairs of neighbouring characters the captions of other pictures have, too.

    Args:
        captions: of a store.
        positives: int64 [P, 2] of (image index, caption index).
    """

    def __init__(self, captions: Sequence[str], positives: Indices) -> None:
        self._of_picture: dict[int, set[str]] = {}
        for image, text in positives.tolist():
            self._of_picture.setdefault(image, set()).update(_pairs(captions[text]))
        self._pictures = Counter(pair for pairs in self._of_picture.values() for pair in pairs)

    def score(self, caption: str, image: int) -> float:
        """Share of the caption's pairs that stand in captions of pictures other than this one, 0 to 1."""
        pairs = _pairs(caption)
        own = self._of_picture.get(image, set())
        return sum(self._pictures[pair] > (pair in own) for pair in pairs) / max(1, len(pairs))


def brevity(caption: str) -> float:
    """The shorter, the higher: the opposite of the number of characters."""
    return -float(len(caption))


def blind_credit(true: Sequence[float], false: Sequence[float]) -> Scores:
    """1 where the true caption scores higher, 0.5 where they are equal, 0 else: float64 [N]."""
    credit: Scores = 0.5 + 0.5 * np.sign(np.asarray(true, dtype=np.float64) - np.asarray(false))
    return credit


def _pairs(caption: str) -> set[str]:
    """Neighbouring characters, with the edges of the caption."""
    return {first + second for first, second in pairwise(f"\x02{caption}\x03")}
