"""Which pictures and captions belong together, looked up from either side."""

from __future__ import annotations

import numpy as np

from cnclip.evaluation.insight.evidence import Evidence
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.similarity import pair_scores


class Labels:
    """The correct pairs of a test set.

    Args:
        positives: int64 [pairs, 2] of (image index, text index); repetitions count once.
        images, texts: how many there are.
    """

    def __init__(self, positives: Indices, images: int, texts: int) -> None:
        self._texts = max(1, texts)
        self._keys = np.unique(positives[:, 0] * self._texts + positives[:, 1])
        image, text = np.divmod(self._keys, self._texts)
        self._text_of_pair = text
        self._image_starts = np.searchsorted(image, np.arange(images + 1))
        by_text = np.argsort(text, kind="stable")
        self._image_of_pair = image[by_text]
        self._text_starts = np.searchsorted(text[by_text], np.arange(texts + 1))

    def texts_of(self, image: int) -> list[int]:
        """The captions of a picture, ascending."""
        start, stop = self._image_starts[image : image + 2]
        return [int(text) for text in self._text_of_pair[start:stop]]

    def images_of(self, text: int) -> list[int]:
        """The correct pictures of a caption, ascending."""
        start, stop = self._text_starts[text : text + 2]
        return [int(image) for image in self._image_of_pair[start:stop]]

    def correct(self, image: int, text: int) -> bool:
        """Whether a pair is labelled as correct."""
        key = image * self._texts + text
        place = int(np.searchsorted(self._keys, key))
        return place < len(self._keys) and int(self._keys[place]) == key


def labels_of(evidence: Evidence) -> Labels:
    """The correct pairs of a run."""
    return Labels(evidence.positives, len(evidence.images.rows), len(evidence.texts.rows))


def best_items(query_rows: Rows, gallery_rows: Rows, pairs: Indices) -> Indices:
    """int64 [queries]: the best correct item of each query, the first of equal ones; -1 where there is none.

    Args:
        query_rows: float32 [Q, D], unit length.
        gallery_rows: float32 [G, D], unit length.
        pairs: int64 [pairs, 2] of (query, correct item).
    """
    scores = pair_scores(query_rows, gallery_rows, pairs[:, 0], pairs[:, 1])
    order = np.lexsort((pairs[:, 1], -scores, pairs[:, 0]))
    owners, first = np.unique(pairs[order, 0], return_index=True)
    best = np.full(len(query_rows), -1, dtype=np.int64)
    best[owners] = pairs[order[first], 1]
    return best
