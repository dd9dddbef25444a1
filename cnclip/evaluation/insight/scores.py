"""How cosine similarities of correct and wrong pairs are spread, and how well one number parts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.block_scan import exact_scores
from cnclip.evaluation.class_metrics import roc_auc
from cnclip.evaluation.insight.modality import plain_number
from cnclip.evaluation.rows import GRID, Indices, Rows, Scores

BINS = 40
MOST_PAIRS = 20_000
_QUANTILES = (5, 50, 95)


@dataclass(frozen=True)
class Spread:
    """Scores of one kind of pairs.

    Attributes:
        count: how many.
        mean: cosine similarity.
        low, median, high: 5th, 50th and 95th percentile.
        shares: of the common bins, percent of the kind.
    """

    count: int
    mean: float
    low: float
    median: float
    high: float
    shares: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        names = ("mean", "low", "median", "high")
        numbers = {name: plain_number(getattr(self, name)) for name in names}
        return {"count": self.count, **numbers, "shares": [round(share, 3) for share in self.shares]}


@dataclass(frozen=True)
class ScoreSpreads:
    """Text to image: three kinds of pairs over the same bins.

    Attributes:
        edges: the bins' borders.
        correct: correct pairs; a seeded sample of them above MOST_PAIRS.
        hardest: each labelled caption with its best wrong picture.
        random: labelled captions with random wrong pictures; all such pairs where there are no more than
            MOST_PAIRS.
        auc_random, auc_hardest: chance that a correct pair scores above a random wrong pair, or above the
            best wrong pair of whatever caption; a tie counts half; percent.
    """

    edges: tuple[float, ...]
    correct: Spread
    hardest: Spread
    random: Spread
    auc_random: float
    auc_hardest: float

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "edges": [round(edge, 5) for edge in self.edges],
            "correct": self.correct.to_json(),
            "hardest": self.hardest.to_json(),
            "random": self.random.to_json(),
            "auc_random": round(self.auc_random, 3),
            "auc_hardest": round(self.auc_hardest, 3),
        }


def find_spreads(
    image_rows: Rows, text_rows: Rows, positives: Indices, hardest: Rows, *, seed: int = 0
) -> ScoreSpreads | None:
    """Scores of correct, hardest and random pairs.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        positives: int64 [pairs, 2] of (image index, text index); repetitions count once.
        hardest: float32, the best wrong score of each labelled caption; NaN where there is no wrong picture.
        seed: of the samples.

    Returns:
        None where no caption has a wrong picture.
    """
    hardest = hardest[~np.isnan(hardest)]
    if not len(hardest):
        return None
    pairs = np.unique(positives, axis=0)
    rng = np.random.default_rng([seed, len(pairs)])
    wrong = wrong_pairs(pairs, len(image_rows), MOST_PAIRS, rng)
    if len(pairs) > MOST_PAIRS:
        pairs = pairs[np.sort(rng.choice(len(pairs), MOST_PAIRS, replace=False))]
    kinds = [_cosines(image_rows, text_rows, pairs), hardest, _cosines(image_rows, text_rows, wrong)]
    everything = np.concatenate(kinds).astype(np.float64)
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1e-3, BINS + 1)
    correct, best_wrong, random = (_spread(kind, edges) for kind in kinds)
    return ScoreSpreads(
        edges=tuple(float(edge) for edge in edges),
        correct=correct,
        hardest=best_wrong,
        random=random,
        auc_random=_auc(kinds[0], kinds[2]),
        auc_hardest=_auc(kinds[0], kinds[1]),
    )


def wrong_pairs(pairs: Indices, images: int, most: int, rng: np.random.Generator) -> Indices:
    """Wrong (image, text) pairs of the captions that have a correct one: all, or a uniform sample of `most`.

    Args:
        pairs: int64 [pairs, 2] of correct (image index, text index), each once.
        images: pictures in the gallery.
        most: how many at most.
        rng: of the sample.

    Returns:
        int64 [<= most, 2]; a sampled pair may stand there twice.
    """
    texts = np.unique(pairs[:, 1])
    known = np.sort(pairs[:, 1] * images + pairs[:, 0])
    if len(texts) * images - len(known) <= most:
        keys = (texts[:, None] * images + np.arange(images)).ravel()
        keys = np.setdiff1d(keys, known, assume_unique=True)
        return np.stack([keys % images, keys // images], axis=1)
    chosen = np.empty(0, dtype=np.int64)
    while len(chosen) < most:  # where all pairs but a few are correct this takes a few rounds more
        keys = texts[rng.integers(0, len(texts), most)] * images + rng.integers(0, images, most)
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        chosen = np.concatenate([chosen, keys[known[place] != keys]])[:most]
    return np.stack([chosen % images, chosen // images], axis=1)


def _cosines(image_rows: Rows, text_rows: Rows, pairs: Indices) -> Rows:
    """Float32 [pairs], exact before the rounding, as the best wrong scores are: equal pairs are ties."""
    cosines: Rows = (exact_scores(image_rows, text_rows, pairs) / GRID**2).astype(np.float32)
    return cosines


def _spread(scores: Rows, edges: Scores) -> Spread:
    low, median, high = np.percentile(scores.astype(np.float64), _QUANTILES)
    counts, _ = np.histogram(np.clip(scores.astype(np.float64), edges[0], edges[-1]), edges)
    return Spread(
        count=len(scores),
        mean=float(scores.mean(dtype=np.float64)),
        low=float(low),
        median=float(median),
        high=float(high),
        shares=tuple(float(share) for share in 100 * counts / len(scores)),
    )


def _auc(right: Rows, wrong: Rows) -> float:
    scores = np.concatenate([right, wrong]).astype(np.float64)
    return roc_auc(scores, np.arange(len(scores)) < len(right))
