"""Tip-Adapter and Tip-Adapter-F: the shots as a cache of keys and values beside the zero-shot classifier.

Zhang et al. 2022, Tip-Adapter: training-free adaption of CLIP for few-shot classification (ECCV), section 3:

    logits = s·f·Wᵀ + α·exp(-β(1 - f·Fᵀ))·L

with f a picture, W the zero-shot classifier, F the shots' embeddings, L their classes one-hot, and s the
model's own logit scale. Defaults α = 1 and β = 5.5; both are searched on the validation pictures. The second
form (-F) trains F for 20 epochs: AdamW, rate 0.001, eps 1e-4, cosine schedule, batches of 256.

Two differences: the keys are single embeddings, not means over ten augmented views, since embeddings are
frozen here; and the last epoch counts, not the best one on the test pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from cnclip.evaluation.probe.task import (
    Answer,
    FewShotTask,
    LabelledSet,
    Logits,
    Quality,
    TextSide,
    block_places,
    quality,
)
from cnclip.evaluation.rows import Indices, Rows

ALPHA, BETA = 1.0, 5.5
ALPHAS = tuple(float(value) for value in np.geomspace(0.1, 100, 19))
BETAS = tuple(float(value) for value in np.geomspace(0.5, 50, 13))
_BLOCK_SCORES = 1 << 24


@dataclass(frozen=True)
class TipTraining:
    """How the keys are trained; the paper's values.

    Attributes:
        epochs: passes over the shots.
        learning_rate: at the start; falls to 0 by a cosine.
        batch_size: shots per step.
        device: where torch computes.
    """

    epochs: int = 20
    learning_rate: float = 1e-3
    batch_size: int = 256
    device: str = "cpu"


def cache_logits(rows: Rows, keys: LabelledSet, beta: float, class_count: int) -> Logits:
    """exp(-β(1 - f·Fᵀ))·L: what the cache adds before its factor α.

    Args:
        rows: float32 [M, D].
        keys: the cache, at least one row.
        beta: sharpness β.
        class_count: C.

    Returns:
        float64 [M, C].
    """
    order = np.argsort(keys.labels, kind="stable")
    classes, starts = np.unique(keys.labels[order], return_index=True)
    sorted_keys = keys.rows[order].T
    logits = np.zeros((len(rows), class_count))
    for block in block_places(len(rows), max(1, _BLOCK_SCORES // len(keys))):
        affinity = np.exp(-beta * (1 - (rows[block] @ sorted_keys).astype(np.float64)))
        logits[block, classes] = np.add.reduceat(affinity, starts, axis=1)
    return logits


def tip_logits(rows: Rows, keys: LabelledSet, text: TextSide, alpha: float, beta: float) -> Logits:
    """The sum of the zero-shot logits and α times the cache's: float64 [M, C]."""
    return _text_logits(rows, text) + alpha * cache_logits(rows, keys, beta, len(text.classifier))


def choose_ratios(keys: LabelledSet, valid: LabelledSet, text: TextSide) -> tuple[float, float, Quality]:
    """α and β of the grid that are best on the validation pictures, and how good they are."""
    zero_shot = _text_logits(valid.rows, text)
    found: dict[tuple[float, float], Quality] = {}
    for beta in BETAS:
        cache = cache_logits(valid.rows, keys, beta, len(text.classifier))
        for alpha in ALPHAS:
            found[alpha, beta] = quality(zero_shot + alpha * cache, valid.labels)
    alpha, beta = max(found, key=found.__getitem__)
    return alpha, beta, found[alpha, beta]


def tip_adapter(task: FewShotTask, text: TextSide) -> Answer:
    """Tip-Adapter without training."""
    return _answer(task, task.train, task.learnable, text)


def tip_adapter_f(task: FewShotTask, text: TextSide, training: TipTraining | None = None) -> Answer:
    """Tip-Adapter-F: train the keys, then search α and β anew."""
    trained = train_keys(task.train, text, task.seed, training or TipTraining())
    keys = LabelledSet(trained, task.train.labels)
    return _answer(task, keys, keys, text)


def train_keys(train: LabelledSet, text: TextSide, seed: int, training: TipTraining) -> Rows:
    """The cache's keys after training with α = 1 and β = 5.5: float32 [N, D], not of unit length."""
    rows = torch.as_tensor(train.rows, device=training.device)
    labels = torch.as_tensor(train.labels, device=training.device)
    zero_shot = torch.as_tensor(_text_logits(train.rows, text), device=training.device).float()
    keys = rows.clone().requires_grad_(True)
    optimizer = torch.optim.AdamW([keys], lr=training.learning_rate, eps=1e-4)
    steps = training.epochs * len(block_places(len(rows), training.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    values = F.one_hot(labels, len(text.classifier)).to(keys.dtype)  # [N, C]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(training.epochs):
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        for places in block_places(len(rows), training.batch_size):
            block = order[places]
            affinity = torch.exp(-BETA * (1 - rows[block] @ keys.T))  # [B, N]
            loss = F.cross_entropy(zero_shot[block] + ALPHA * affinity @ values, labels[block])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    trained: Rows = keys.detach().cpu().numpy()
    return trained


def _answer(task: FewShotTask, searched: LabelledSet, keys: LabelledSet, text: TextSide) -> Answer:
    """Choose the ratios with one cache, answer with another: that of all pictures there are."""
    alpha, beta = ALPHA, BETA
    settings: dict[str, float | int | str] = {}
    if len(task.valid):
        alpha, beta, best = choose_ratios(searched, task.valid, text)
        settings["valid_accuracy"] = best.accuracy
    predictions: Indices = tip_logits(task.test_rows, keys, text, alpha, beta).argmax(axis=1)
    return Answer(predictions, {"alpha": alpha, "beta": beta, **settings})


def _text_logits(rows: Rows, text: TextSide) -> Logits:
    return text.logit_scale * (rows @ text.classifier.T).astype(np.float64)
