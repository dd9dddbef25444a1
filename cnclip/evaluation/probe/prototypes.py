"""The nearest class mean: Snell et al. 2017, Prototypical networks, section 2.3, on frozen embeddings.

Nothing is chosen and nothing is trained: the cheapest thing that a probe has to beat.
"""

from __future__ import annotations

import numpy as np

from cnclip.evaluation.probe.task import Answer, FewShotTask, LabelledSet
from cnclip.evaluation.rows import Rows


def class_means(train: LabelledSet, class_count: int) -> Rows:
    """The mean of each class's rows, at unit length: float32 [C, D]; zeros for a class without pictures."""
    sums = np.zeros((class_count, train.rows.shape[1]))
    np.add.at(sums, train.labels, train.rows.astype(np.float64))
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    unit: Rows = (sums / np.where(length == 0, 1, length)).astype(np.float32)
    return unit


def nearest_prototype(task: FewShotTask) -> Answer:
    """Answer by the largest cosine with a class mean; classes without shots are never named."""
    learnable = task.learnable
    seen = np.unique(learnable.labels)
    cosines = task.test_rows @ class_means(learnable, task.class_count)[seen].T
    return Answer(seen[cosines.argmax(axis=1)], {})
