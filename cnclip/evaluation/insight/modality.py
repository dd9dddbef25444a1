"""Where pictures and captions lie on the sphere: the gap between them, alignment, uniformity, dimension.

Sums of rows give the mean cosine of all pairs exactly, without looking at the pairs: the sum over i and j of
x_i.y_j is (sum x).(sum y). Only uniformity needs pairs of rows, and takes a seeded sample of rows where there
are many; so does the effective dimension.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cnclip.evaluation.block_scan import blocks
from cnclip.evaluation.rows import Indices, Rows, Scores

UNIFORMITY_ROWS = 5_000  # 12.5 million pairs
DIMENSION_ROWS = 10_000
_BLOCK_ROWS = 2048
_TEMPERATURE = 2.0  # t of the uniformity loss


@dataclass(frozen=True)
class Modality:
    """Pictures and captions in the space they share; cosines -1 to 1.

    Attributes:
        pictures, captions, pairs: how many there are.
        gap: length of the difference of the two mean embeddings, 0 to 2 (Liang et al., Mind the gap, NeurIPS
            2022, section 2).
        means_cosine: of the two mean embeddings; NaN where one of them is zero.
        within_pictures, within_captions: mean cosine of two different pictures, of two different captions;
            NaN where there is only one.
        matching, others: mean cosine of correct pairs, and of all other pairs; NaN where there are none.
        nearer_to_own: rows that are nearer to the mean of their own kind than to that of the other, percent;
            both kinds count half. 50 is chance, 100 is two separate clouds.
        alignment: mean squared distance of correct pairs, 0 to 4, lower is better (Wang and Isola,
            Understanding contrastive representation learning, ICML 2020, alpha = 2).
        picture_uniformity, caption_uniformity: ln of the mean of exp(-2 d^2) over pairs of different rows,
            lower is more even (the same, t = 2); NaN where there is only one row.
        picture_dimension, caption_dimension: participation ratio of the covariance's eigenvalues, from 1 to
            `width`; NaN where all rows are equal.
        width: components of a row.
        uniformity_rows, dimension_rows: most rows of each kind that the last two looked at.
    """

    pictures: int
    captions: int
    pairs: int
    gap: float
    means_cosine: float
    within_pictures: float
    within_captions: float
    matching: float
    others: float
    nearer_to_own: float
    alignment: float
    picture_uniformity: float
    caption_uniformity: float
    picture_dimension: float
    caption_dimension: float
    width: int
    uniformity_rows: int = UNIFORMITY_ROWS
    dimension_rows: int = DIMENSION_ROWS

    @property
    def sampled(self) -> bool:
        """Whether uniformity looked at a sample."""
        return max(self.pictures, self.captions) > self.uniformity_rows

    def to_json(self) -> dict[str, Any]:
        """For results.json; null stands for NaN."""
        return {name: plain_number(value) for name, value in asdict(self).items()}


def plain_number(value: float, digits: int = 5) -> float | int | None:
    """Rounded for JSON, which has no NaN: null there."""
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else round(float(value), digits)


def find_modality(image_rows: Rows, text_rows: Rows, positives: Indices, *, seed: int = 0) -> Modality:
    """Measure both clouds and what lies between them.

    Args:
        image_rows: float32 [n_image, D], unit length.
        text_rows: float32 [n_text, D], unit length.
        positives: int64 [pairs, 2] of (image index, text index); repetitions count once.
        seed: of the samples.
    """
    pairs = np.unique(positives, axis=0)
    image_sum, text_sum = _sum(image_rows), _sum(text_rows)
    image_mean, text_mean = image_sum / len(image_rows), text_sum / len(text_rows)
    cosines, alignment = _pair_figures(image_rows, text_rows, pairs)
    crossings = len(image_rows) * len(text_rows)
    lengths = float(np.linalg.norm(image_mean) * np.linalg.norm(text_mean))
    own = (_nearer(image_rows, image_mean, text_mean) + _nearer(text_rows, text_mean, image_mean)) / 2
    return Modality(
        pictures=len(image_rows),
        captions=len(text_rows),
        pairs=len(pairs),
        gap=float(np.linalg.norm(image_mean - text_mean)),
        means_cosine=_ratio(float(image_mean @ text_mean), lengths),
        within_pictures=_within(image_rows, image_sum),
        within_captions=_within(text_rows, text_sum),
        matching=_ratio(cosines, len(pairs)),
        others=_ratio(float(image_sum @ text_sum) - cosines, crossings - len(pairs)),
        nearer_to_own=own,
        alignment=alignment,
        picture_uniformity=uniformity(_sample(image_rows, UNIFORMITY_ROWS, seed)),
        caption_uniformity=uniformity(_sample(text_rows, UNIFORMITY_ROWS, seed)),
        picture_dimension=effective_dimension(_sample(image_rows, DIMENSION_ROWS, seed)),
        caption_dimension=effective_dimension(_sample(text_rows, DIMENSION_ROWS, seed)),
        width=image_rows.shape[1],
    )


def uniformity(rows: Rows) -> float:
    """ln mean exp(-t |x - y|^2), t = 2, over the pairs of different rows [N, D]; NaN for fewer than two."""
    if len(rows) < 2:
        return float("nan")
    lengths = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    total = 0.0
    for part in blocks(len(rows), _BLOCK_ROWS):
        for other in blocks(part.stop, _BLOCK_ROWS):
            products = (rows[part] @ rows[other].T).astype(np.float64)
            distances = lengths[part, None] + lengths[None, other] - 2 * products  # squared
            near = np.exp(-_TEMPERATURE * np.maximum(distances, 0.0))
            total += float(np.tril(near, -1).sum() if other.start == part.start else near.sum())
    return float(np.log(total / (len(rows) * (len(rows) - 1) / 2)))


def effective_dimension(rows: Rows) -> float:
    """(sum of eigenvalues)^2 / sum of their squares, of the covariance of rows [N, D]; NaN for equal rows.

    The trace of the covariance and its Frobenius norm give both sums without the eigenvalues.
    """
    mean = _sum(rows) / len(rows)
    scatter = np.zeros((rows.shape[1], rows.shape[1]))
    for part in blocks(len(rows), _BLOCK_ROWS):
        centred = rows[part].astype(np.float64) - mean
        scatter += centred.T @ centred
    if np.trace(scatter) < 1e-9 * len(rows):
        return float("nan")
    return float(np.trace(scatter) ** 2 / np.square(scatter).sum())


def _sum(rows: Rows) -> Scores:
    total: Scores = rows.sum(axis=0, dtype=np.float64)
    return total


def _sample(rows: Rows, most: int, seed: int) -> Rows:
    """Rows, at most so many, in their order."""
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng([seed, len(rows)]).choice(len(rows), most, replace=False)
    return rows[np.sort(chosen)]


def _within(rows: Rows, total: Scores) -> float:
    """Mean cosine of two different rows."""
    itself = float(np.einsum("nd,nd->", rows, rows, dtype=np.float64))
    return _ratio(float(total @ total) - itself, len(rows) * (len(rows) - 1))


def _pair_figures(image_rows: Rows, text_rows: Rows, pairs: Indices) -> tuple[float, float]:
    """Sum of the pairs' cosines, and the mean of their squared distances."""
    cosines = distances = 0.0
    for part in blocks(len(pairs), _BLOCK_ROWS):
        images = image_rows[pairs[part, 0]].astype(np.float64)
        texts = text_rows[pairs[part, 1]].astype(np.float64)
        cosines += float(np.einsum("nd,nd->", images, texts))
        distances += float(np.square(images - texts).sum())
    return cosines, _ratio(distances, len(pairs))


def _nearer(rows: Rows, own: Scores, other: Scores) -> float:
    """Rows that are nearer to `own` than to `other`, percent; a tie counts half."""
    border = (own @ own - other @ other) / 2  # |x - own| < |x - other| where x.(own - other) > border
    away = np.concatenate([rows[part] @ (own - other) - border for part in blocks(len(rows), _BLOCK_ROWS)])
    return float(50 * (1 + np.sign(np.where(np.abs(away) < 1e-12, 0.0, away))).mean())


def _ratio(total: float, count: float) -> float:
    return total / count if count else float("nan")
