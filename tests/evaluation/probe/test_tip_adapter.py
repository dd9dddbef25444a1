"""Tip-Adapter against a case worked by hand, and its fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnclip.evaluation.probe.task import FewShotTask, LabelledSet, TextSide
from cnclip.evaluation.probe.tip_adapter import (
    TipTraining,
    cache_logits,
    choose_ratios,
    tip_adapter,
    tip_adapter_f,
    tip_logits,
    train_keys,
)

Task = Callable[..., FewShotTask]
HALF = 0.5**0.5


def text_side(width: int = 24, classes: int = 4) -> TextSide:
    rows = np.random.default_rng(8).normal(size=(classes, width))
    return TextSide((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), 20.0)


def test_two_classes_worked_by_hand() -> None:
    keys = LabelledSet(np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32), np.array([0, 1, 1]))
    text = TextSide(np.array([[HALF, HALF], [HALF, -HALF]], dtype=np.float32), 10.0)
    picture = np.array([[0.8, 0.6]], dtype=np.float32)
    # cosines with the keys: 0.8, 0.6, 0.48 + 0.48 = 0.96; with the texts: 1.4 and 0.2 times the half's root
    first, second = math.exp(-2 * 0.2), math.exp(-2 * 0.4) + math.exp(-2 * 0.04)
    np.testing.assert_allclose(cache_logits(picture, keys, 2.0, 2), [[first, second]], rtol=1e-6)
    expected = [[10 * 1.4 * HALF + 3 * first, 10 * 0.2 * HALF + 3 * second]]
    np.testing.assert_allclose(tip_logits(picture, keys, text, alpha=3.0, beta=2.0), expected, rtol=1e-6)


def test_keys_in_any_order_and_classes_without_keys(make_task: Task) -> None:
    task = make_task()
    order = np.random.default_rng(1).permutation(len(task.train))
    plain = cache_logits(task.test_rows, task.train, 5.5, 6)
    np.testing.assert_allclose(cache_logits(task.test_rows, task.train.take(order), 5.5, 6), plain)
    assert (plain[:, 4:] == 0).all() and (plain[:, :4] > 0).all()


def test_without_validation_pictures_the_papers_ratios_are_used(make_task: Task) -> None:
    task, text = make_task(valid=0), text_side()
    answer = tip_adapter(task, text)
    assert answer.settings == {"alpha": 1.0, "beta": 5.5}
    expected = tip_logits(task.test_rows, task.train, text, 1.0, 5.5).argmax(axis=1)
    np.testing.assert_array_equal(answer.predictions, expected)


def test_the_chosen_ratios_are_the_best_of_the_grid_on_the_validation_pictures(make_task: Task) -> None:
    task, text = make_task(), text_side()
    alpha, beta, best = choose_ratios(task.train, task.valid, text)
    right = tip_logits(task.valid.rows, task.train, text, alpha, beta).argmax(axis=1) == task.valid.labels
    assert best.accuracy == pytest.approx(100 * right.mean())
    for other in (0.1, 1.0, 10.0):
        logits = tip_logits(task.valid.rows, task.train, text, other, 5.5)
        assert best.accuracy >= 100 * (logits.argmax(axis=1) == task.valid.labels).mean()


def test_no_epochs_leave_the_keys_and_training_lowers_the_loss(make_task: Task) -> None:
    task, text = make_task(), text_side()
    assert (train_keys(task.train, text, 0, TipTraining(epochs=0)) == task.train.rows).all()
    trained = train_keys(task.train, text, 0, TipTraining(epochs=20, batch_size=8))

    def loss(keys: np.ndarray) -> float:
        logits = tip_logits(task.train.rows, LabelledSet(keys, task.train.labels), text, 1.0, 5.5)
        return float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(task.train.labels)))

    assert loss(trained) < loss(task.train.rows)


def test_fine_tuning_is_a_function_of_its_seed(make_task: Task) -> None:
    task, text, training = make_task(), text_side(), TipTraining(epochs=3, batch_size=5)
    first = train_keys(task.train, text, 1, training)
    assert (train_keys(task.train, text, 1, training) == first).all()
    assert (train_keys(task.train, text, 2, training) != first).any()
    answers = [tip_adapter_f(replace(task, seed=4), text, training) for _ in range(2)]
    assert answers[0].predictions.tolist() == answers[1].predictions.tolist()
    assert answers[0].settings == answers[1].settings
