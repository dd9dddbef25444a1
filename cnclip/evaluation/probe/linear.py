"""Logistic regression on frozen embeddings with CLIP's search for its regularisation.

Radford et al. 2021, section 3.2 and appendix A.3: scikit-learn's L-BFGS with at most 1 000 iterations; C on
96 logarithmic steps between 1e-6 and 1e6, eight per decade, found by a parametric binary search that starts
from every second decade and halves its step around the peak, on a validation split; afterwards, where the
data has one training set, validation pictures join the training again.

One difference: CLIP probed the features before its projection, here the rows are the embeddings themselves.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from cnclip.errors import SourceError
from cnclip.evaluation.probe.task import Answer, FewShotTask, LabelledSet, Logits, Quality, quality
from cnclip.evaluation.rows import Rows

MAX_ITERATIONS = 1000
STEPS_PER_DECADE = 8
LOWEST_DECADE = -6
LAST_STEP = 96
COARSE_STEP = 16  # two decades
DEFAULT_C = 0.316  # CLIP's own example of a linear probe; where nothing can be searched


@dataclass(frozen=True)
class Sweep:
    """A finished search.

    Attributes:
        c: the best inverse strength of regularisation; of equal ones the strongest regularisation.
        tried: C -> its quality on the validation pictures.
    """

    c: float
    tried: dict[float, Quality]


def inverse_strength(step: int) -> float:
    """C of a step of the grid: 0 is 1e-6, 96 is 1e6."""
    return float(10 ** (LOWEST_DECADE + step / STEPS_PER_DECADE))


def fit_linear(train: LabelledSet, c: float) -> LogisticRegression:
    """Fit at one C.

    Raises:
        SourceError: fewer than two classes.
    """
    if len(np.unique(train.labels)) < 2:
        raise SourceError("a linear probe needs pictures of at least two classes")
    model = LogisticRegression(C=c, solver="lbfgs", max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the iterations are part of the protocol
        warnings.filterwarnings("ignore", "The number of unique classes")  # of course, at one shot
        return model.fit(train.rows, train.labels)


def choose_c(train: LabelledSet, valid: LabelledSet, class_count: int) -> Sweep:
    """Search C: every second decade, then steps half as wide around the peak, down to an eighth of a decade.

    Args:
        train: to fit.
        valid: to compare, not empty.
        class_count: C of the task; classes without a training picture can never be right.
    """
    found: dict[int, Quality] = {}

    def measure(step: int) -> Quality:
        if step not in found:
            model = fit_linear(train, inverse_strength(step))
            found[step] = quality(class_logits(model, valid.rows, class_count), valid.labels)
        return found[step]

    best = max(range(0, LAST_STEP + 1, COARSE_STEP), key=measure)
    width = COARSE_STEP // 2
    while width:
        near = [step for step in (best - width, best, best + width) if 0 <= step <= LAST_STEP]
        best = max(near, key=measure)
        width //= 2
    return Sweep(inverse_strength(best), {inverse_strength(step): found[step] for step in sorted(found)})


def class_logits(model: LogisticRegression, rows: Rows, class_count: int) -> Logits:
    """Logits float64 [N, C] in the task's class numbers; minus infinity for classes without a shot."""
    scores = model.decision_function(rows)  # [N, seen classes], or [N] of the second of two
    if scores.ndim == 1:
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    logits = np.full((len(rows), class_count), -np.inf)
    logits[:, model.classes_] = scores
    return logits


def linear_probe(task: FewShotTask) -> Answer:
    """Choose C, fit, answer.

    Raises:
        SourceError: fewer than two classes among the shots.
    """
    searched = len(task.valid) > 0
    sweep = choose_c(task.train, task.valid, task.class_count) if searched else Sweep(DEFAULT_C, {})
    model = fit_linear(task.learnable, sweep.c)
    settings: dict[str, float | int | str] = {"C": sweep.c, "fits": len(sweep.tried)}
    settings["iterations"] = int(np.max(model.n_iter_))
    if searched:
        settings["valid_accuracy"] = sweep.tried[sweep.c].accuracy
    return Answer(model.predict(task.test_rows).astype(np.int64), settings)
