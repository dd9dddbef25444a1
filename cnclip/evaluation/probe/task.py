"""What every few-shot method takes and gives, and the one measure by which it chooses its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cnclip.evaluation.rows import Indices, Rows

Logits = npt.NDArray[np.floating]
LOWEST_LOG_PROBABILITY = -50.0  # of a class that a method cannot name; keeps the mean finite


@dataclass(frozen=True)
class LabelledSet:
    """Embeddings of pictures and their classes.

    Attributes:
        rows: float32 [N, D], unit length.
        labels: int64 [N], class numbers.
    """

    rows: Rows
    labels: Indices

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: Indices) -> LabelledSet:
        """Those at some places, in that order."""
        return LabelledSet(self.rows[places], self.labels[places])


@dataclass(frozen=True)
class FewShotTask:
    """One draw of shots, and the pictures to classify.

    Attributes:
        train: what a method may learn from.
        valid: what it may choose its settings by, never learn from; empty where classes are too small.
        test_rows: float32 [M, D], unit length.
        class_count: C; labels are below it.
        seed: decides everything random.
        refit: learn from train and valid together once the settings are chosen.
    """

    train: LabelledSet
    valid: LabelledSet
    test_rows: Rows
    class_count: int
    seed: int = 0
    refit: bool = False

    @property
    def learnable(self) -> LabelledSet:
        """What the last fit learns from: the shots, and the validation pictures too with `refit`."""
        if not self.refit:
            return self.train
        rows = np.concatenate([self.train.rows, self.valid.rows])
        return LabelledSet(rows, np.concatenate([self.train.labels, self.valid.labels]))


@dataclass(frozen=True)
class TextSide:
    """What the text tower says about the classes.

    Attributes:
        classifier: float32 [C, D], unit length: the zero-shot classifier.
        logit_scale: factor on cosines, the model's own.
    """

    classifier: Rows
    logit_scale: float


@dataclass(frozen=True)
class Answer:
    """What a method says of the test pictures.

    Attributes:
        predictions: int64 [M], class numbers; of classes with the same score the first.
        settings: what it chose, and by what; plain values.
    """

    predictions: Indices
    settings: Mapping[str, float | int | str]


class Quality(NamedTuple):
    """How good a setting is; compares by accuracy first, then by cross-entropy.

    Validation sets of a few shots give many settings the same accuracy: the second number parts them.

    Attributes:
        accuracy: percent.
        log_probability: mean natural logarithm of the true class's probability.
    """

    accuracy: float
    log_probability: float


def quality(logits: Logits, labels: Indices) -> Quality:
    """Accuracy and mean log-probability of the softmax.

    Args:
        logits: float [N, C]; minus infinity where a class cannot be named.
        labels: int64 [N].
    """
    precise = logits.astype(np.float64)
    shifted = precise - precise.max(axis=1, keepdims=True)
    norm = np.log(np.exp(shifted).sum(axis=1))
    true = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0] - norm
    return Quality(
        accuracy=float(100 * (precise.argmax(axis=1) == labels).mean()),
        log_probability=float(np.maximum(true, LOWEST_LOG_PROBABILITY).mean()),
    )


def block_places(count: int, block_rows: int) -> list[slice]:
    """Consecutive slices that cover `count` rows."""
    return [slice(start, start + block_rows) for start in range(0, count, block_rows)]
