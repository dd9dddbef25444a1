"""Whether a classifier's probabilities can be believed, and the temperature that makes them so.

The probability of a class is softmax(scale * cosine). cn_clip and CLIP print it with the constant scale 100;
a checkpoint has a scale of its own, exp(logit_scale). One number cures most of what is wrong with either
(Guo et al., On calibration of modern neural networks, 2017): the scale with the least negative log
likelihood on one half of the pictures; all figures are of the other half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize_scalar

from cnclip.errors import SourceError
from cnclip.evaluation.rows import Indices, Rows, Scores

FIXED_SCALE = 100.0
BINS = 15
Binning = Literal["width", "mass"]
_BLOCK_ROWS = 4096
_SCALE_BOUNDS = (1e-2, 1e4)


@dataclass(frozen=True)
class Bin:
    """Pictures of about the same confidence; confidence and accuracy are means in percent."""

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Probabilities at one scale.

    Attributes:
        scale: factor of the cosine before the softmax.
        ece: expected calibration error over 15 bins of equal width, percentage points.
        adaptive_ece: the same over 15 bins of equally many pictures (Nguyen and O'Connor 2015).
        nll: mean negative log likelihood of the true class, nats.
        confidence: mean probability of the predicted class, percent.
        bins: those of equal width that hold pictures.
    """

    scale: float
    ece: float
    adaptive_ece: float
    nll: float
    confidence: float
    bins: list[Bin]


@dataclass(frozen=True)
class Calibration:
    """Before and after, on the same held-out pictures.

    Attributes:
        fixed: at the constant 100.
        own: at the checkpoint's own scale.
        fitted: at the scale with the least NLL on the other half.
        accuracy: top-1 of the held-out half, percent; no scale changes it.
        fitted_on, measured_on: pictures of the halves.
    """

    fixed: Reliability
    own: Reliability
    fitted: Reliability
    accuracy: float
    fitted_on: int
    measured_on: int

    @property
    def temperature(self) -> float:
        """What the checkpoint's own logits must be divided by."""
        return self.own.scale / self.fitted.scale

    @property
    def at_end(self) -> bool:
        """Whether the search ended at its bound: no temperature is right, the best one is 0 or infinite."""
        low, high = _SCALE_BOUNDS
        return not 1.01 * low < self.fitted.scale < 0.99 * high


def calibrate(cosines: Rows, labels: Indices, ids: Sequence[str], own_scale: float) -> Calibration:
    """Measure the fixed and the own scale, and the one fitted on half of the pictures.

    Args:
        cosines: float32 [N, C].
        labels: int64 [N].
        ids: N names of the pictures; they decide the halves.
        own_scale: exp(logit_scale) of the checkpoint.

    Raises:
        SourceError: fewer than two pictures.
    """
    fit, held = halves(ids)
    rows, truth = cosines[held], labels[held]
    return Calibration(
        fixed=reliability(rows, truth, FIXED_SCALE),
        own=reliability(rows, truth, own_scale),
        fitted=reliability(rows, truth, fit_scale(cosines[fit], labels[fit])),
        accuracy=float(100 * _is_right(rows, truth).mean()),
        fitted_on=len(fit),
        measured_on=len(held),
    )


def halves(ids: Sequence[str]) -> tuple[Indices, Indices]:
    """Two halves by the sha256 of the names: the same for the same pictures in whatever order.

    Raises:
        SourceError: fewer than two names.
    """
    if len(ids) < 2:
        raise SourceError("calibration needs two pictures: one to fit, one to measure")
    keys = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest() for name in ids]
    order = np.array(sorted(range(len(ids)), key=lambda index: (keys[index], index)), dtype=np.int64)
    return np.sort(order[: len(ids) // 2]), np.sort(order[len(ids) // 2 :])


def fit_scale(cosines: Rows, labels: Indices) -> float:
    """The scale with the least negative log likelihood, within 0.01 to 10 000.

    The likelihood is convex in the scale, so a search in one dimension finds it.
    """
    low, high = np.log(_SCALE_BOUNDS)
    found = minimize_scalar(
        lambda logarithm: negative_log_likelihood(cosines, labels, float(np.exp(logarithm))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def negative_log_likelihood(cosines: Rows, labels: Indices, scale: float) -> float:
    """Mean over pictures of -ln p(true class), nats."""
    total = 0.0
    for start in range(0, len(labels), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        log_p = log_probabilities(cosines[block], scale)
        total -= float(np.take_along_axis(log_p, labels[block, None], axis=1).sum())
    return total / len(labels)


def log_probabilities(cosines: Rows, scale: float) -> Scores:
    """ln softmax(scale * cosine) over the classes: float64 [N, C]."""
    logits = scale * cosines.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_p: Scores = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_p


def reliability(cosines: Rows, labels: Indices, scale: float) -> Reliability:
    """Calibration errors of softmax(scale * cosine); see Reliability."""
    starts = range(0, len(labels), _BLOCK_ROWS)
    confidence = np.concatenate(
        [np.exp(log_probabilities(cosines[s : s + _BLOCK_ROWS], scale).max(axis=1)) for s in starts]
    )
    right = _is_right(cosines, labels)
    bins = bin_by_confidence(confidence, right)
    return Reliability(
        scale=scale,
        ece=expected_calibration_error(bins),
        adaptive_ece=expected_calibration_error(bin_by_confidence(confidence, right, "mass")),
        nll=negative_log_likelihood(cosines, labels, scale),
        confidence=float(100 * confidence.mean()),
        bins=bins,
    )


def bin_by_confidence(confidence: Scores, right: Scores, binning: Binning = "width") -> list[Bin]:
    """15 bins in the order of confidence, empty ones left out.

    Args:
        confidence: float64 [N], 0 to 1.
        right: float64 [N], 1 or 0.
        binning: "width" parts 0 to 1 at k/15, upper ends included; "mass" gives each bin as many pictures;
            pictures of equal confidence count with their mean accuracy, whichever bins they fall into.
    """
    _, group = np.unique(confidence, return_inverse=True)
    right = (np.bincount(group, weights=right) / np.bincount(group))[group]
    order = np.argsort(confidence, kind="stable")
    if binning == "mass":
        parts = np.array_split(order, BINS)
    else:
        number = np.clip(np.ceil(confidence[order] * BINS).astype(np.int64) - 1, 0, BINS - 1)
        parts = [order[number == each] for each in range(BINS)]
    return [
        Bin(len(part), float(100 * confidence[part].mean()), float(100 * right[part].mean()))
        for part in parts
        if len(part)
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of confidence and accuracy, bins weighted by their pictures; percentage points."""
    images = sum(each.images for each in bins)
    return sum(each.images * abs(each.confidence - each.accuracy) for each in bins) / images


def _is_right(cosines: Rows, labels: Indices) -> Scores:
    """1.0 where the true class is alone at the top."""
    true_score = np.take_along_axis(cosines, labels[:, None], axis=1)
    right: Scores = (np.count_nonzero(cosines >= true_score, axis=1) == 1).astype(np.float64)
    return right
