"""How the best wrong score grows with the gallery: why a threshold holds for one size only.

The best of many wrong scores is higher than the best of few. Part of the gallery, drawn at random, shows how
fast: the first part of one shuffled order, doubled until it is the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.block_scan import blocks
from cnclip.evaluation.insight.modality import plain_number
from cnclip.evaluation.insight.neighbours import FEWEST
from cnclip.evaluation.rows import Indices, Rows

MOST_CAPTIONS = 1_000
_MOST_SIZES = 8
_SLOPE_STEPS = 3
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class BySize:
    """Best wrong scores in parts of the gallery.

    Attributes:
        captions: that were asked; a seeded sample above MOST_CAPTIONS.
        sizes: pictures in each part, ascending; the last is the whole gallery.
        medians: of the captions' best wrong scores in each part.
        rejections: captions whose best wrong score is below the threshold, percent; none without a threshold.
    """

    captions: int
    sizes: tuple[int, ...]
    medians: tuple[float, ...]
    rejections: tuple[float, ...]

    @property
    def per_doubling(self) -> float:
        """By how much the median grows with each doubling of the gallery, over the last three or fewer."""
        steps = min(_SLOPE_STEPS, len(self.sizes) - 1)
        if not steps:
            return float("nan")
        doublings = np.log2(self.sizes[-1] / self.sizes[-1 - steps])
        return float((self.medians[-1] - self.medians[-1 - steps]) / doublings)

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "captions": self.captions,
            "sizes": list(self.sizes),
            "median_best_wrong": [plain_number(value) for value in self.medians],
            "rejection": [round(value, 3) for value in self.rejections],
            "per_doubling": plain_number(self.per_doubling),
        }


def find_by_size(
    image_rows: Rows,
    text_rows: Rows,
    positives: Indices,
    asked: Indices,
    *,
    threshold: float | None = None,
    seed: int = 0,
) -> BySize:
    """Best wrong scores of captions in growing parts of the gallery.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        positives: int64 [pairs, 2] of (image index, text index).
        asked: int64, the captions that count.
        threshold: cosine similarity from which a picture is shown.
        seed: of the sample and the shuffled order.
    """
    rng = np.random.default_rng([seed, len(image_rows)])
    order = rng.permutation(len(image_rows))
    if len(asked) > MOST_CAPTIONS:
        asked = np.sort(rng.choice(asked, MOST_CAPTIONS, replace=False))
    line, place = _correct_places(positives, asked, order)
    rows = text_rows[asked]
    best = np.full(len(asked), -np.inf, dtype=np.float32)
    medians, rejections = [], []
    sizes = _sizes(len(image_rows))
    for first, last in zip([0, *sizes[:-1]], sizes, strict=True):
        for part in blocks(last - first, _BLOCK_ROWS):
            start, stop = first + part.start, first + part.stop
            scores = rows @ image_rows[order[start:stop]].T  # float32 [captions, part]
            here = (place >= start) & (place < stop)
            scores[line[here], place[here] - start] = -np.inf
            best = np.maximum(best, scores.max(axis=1))
        left = best[np.isfinite(best)]
        medians.append(float(np.median(left)) if len(left) else float("nan"))
        if threshold is not None:
            rejections.append(float(100 * (best < threshold).mean()))
    return BySize(len(asked), tuple(sizes), tuple(medians), tuple(rejections))


def _sizes(gallery: int) -> list[int]:
    """The gallery, its half, its quarter ..., of at least FEWEST pictures, ascending."""
    sizes = [gallery >> step for step in range(_MOST_SIZES)]
    return sorted({size for size in sizes if size >= FEWEST} | {gallery})


def _correct_places(positives: Indices, asked: Indices, order: Indices) -> tuple[Indices, Indices]:
    """Of each correct pair of ascending `asked`: the place in `asked`, and that of the picture in `order`."""
    place_of = np.empty_like(order)
    place_of[order] = np.arange(len(order))
    line = np.minimum(np.searchsorted(asked, positives[:, 1]), len(asked) - 1)
    mine = asked[line] == positives[:, 1]
    return line[mine], place_of[positives[mine, 0]]
