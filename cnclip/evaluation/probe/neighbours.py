"""The k nearest pictures vote, each with exp(cosine / 0.07).

Weighted voting and its temperature: Wu et al. 2018, Unsupervised feature learning via non-parametric instance
discrimination, section 3.4. k is chosen on the validation pictures.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnclip.evaluation.probe.task import Answer, FewShotTask, LabelledSet, Logits, block_places, quality
from cnclip.evaluation.rows import Rows

Weighting = Literal["similarity", "uniform"]
TEMPERATURE = 0.07
CHOICES = (1, 3, 5, 10, 20)
DEFAULT_K = 5
_BLOCK_SCORES = 1 << 24


def neighbour_votes(
    train: LabelledSet,
    rows: Rows,
    k: int,
    class_count: int,
    weighting: Weighting = "similarity",
) -> Logits:
    """The vote of each class.

    Args:
        train: labelled rows, at least one.
        rows: float32 [M, D] to classify, unit length.
        k: neighbours; capped by the number of labelled rows.
        class_count: C.
        weighting: "similarity" gives a neighbour exp((cosine - the nearest one's) / 0.07), "uniform" 1.

    Returns:
        float64 [M, C].
    """
    count = min(k, len(train))
    votes = np.zeros((len(rows), class_count))
    for block in block_places(len(rows), max(1, _BLOCK_SCORES // len(train))):
        cosines = rows[block] @ train.rows.T  # float32 [block, N]
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        similarity = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        weights = np.ones_like(similarity)
        if weighting == "similarity":
            weights = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / TEMPERATURE)
        places = np.arange(len(nearest))[:, None]
        np.add.at(votes[block], (places, train.labels[nearest]), weights)
    return votes


def nearest_neighbours(task: FewShotTask) -> Answer:
    """Choose k by the validation pictures, 5 where there are none, and answer."""
    choices = [k for k in CHOICES if k <= len(task.train)]
    chosen = min(DEFAULT_K, len(task.train))
    settings: dict[str, float | int | str] = {}
    if len(task.valid):
        qualities = {}
        for k in choices:
            votes = neighbour_votes(task.train, task.valid.rows, k, task.class_count)
            with np.errstate(divide="ignore"):
                qualities[k] = quality(np.log(votes / votes.sum(axis=1, keepdims=True)), task.valid.labels)
        chosen = max(choices, key=qualities.__getitem__)
        settings["valid_accuracy"] = qualities[chosen].accuracy
    votes = neighbour_votes(task.learnable, task.test_rows, chosen, task.class_count)
    return Answer(votes.argmax(axis=1), {"k": chosen, **settings})
