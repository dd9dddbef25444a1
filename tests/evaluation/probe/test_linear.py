"""The linear probe against plain scikit-learn, and its search for C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnclip.errors import SourceError
from cnclip.evaluation.probe.linear import (
    DEFAULT_C,
    choose_c,
    class_logits,
    fit_linear,
    inverse_strength,
    linear_probe,
)
from cnclip.evaluation.probe.task import FewShotTask, LabelledSet, quality

Task = Callable[..., FewShotTask]


@pytest.mark.parametrize("c", [1e-3, 0.316, 10.0])
def test_a_fit_is_scikit_learns_at_the_same_c(make_task: Task, c: float) -> None:
    task = make_task()
    plain = LogisticRegression(C=c, max_iter=1000).fit(task.train.rows, task.train.labels)
    ours = fit_linear(task.train, c)
    np.testing.assert_array_equal(ours.coef_, plain.coef_)
    np.testing.assert_array_equal(ours.predict(task.test_rows), plain.predict(task.test_rows))


def test_the_answer_is_that_of_the_chosen_c(make_task: Task) -> None:
    task = make_task()
    answer = linear_probe(task)
    plain = LogisticRegression(C=answer.settings["C"], max_iter=1000)
    expected = plain.fit(task.train.rows, task.train.labels).predict(task.test_rows)
    np.testing.assert_array_equal(answer.predictions, expected)


def test_the_grid_runs_from_1e_minus_6_to_1e6_with_eight_steps_per_decade() -> None:
    assert inverse_strength(0) == pytest.approx(1e-6) and inverse_strength(96) == pytest.approx(1e6)
    assert inverse_strength(56) / inverse_strength(48) == pytest.approx(10)


def test_the_search_starts_with_every_second_decade_and_ends_at_an_eighth(make_task: Task) -> None:
    task = make_task()
    sweep = choose_c(task.train, task.valid, 4)
    steps = sorted(round(8 * (np.log10(c) + 6)) for c in sweep.tried)
    assert set(range(0, 97, 16)) <= set(steps)
    best = round(8 * (np.log10(sweep.c) + 6))
    assert {step for step in (best - 1, best + 1) if 0 <= step <= 96} <= set(steps)
    assert len(steps) <= 7 + 2 * 4
    assert sweep.tried[sweep.c] == max(sweep.tried.values())


def test_without_validation_pictures_c_is_clips_example(make_task: Task) -> None:
    task = make_task(valid=0)
    answer = linear_probe(task)
    assert answer.settings["C"] == DEFAULT_C and answer.settings["fits"] == 0


def test_refitting_learns_from_the_validation_pictures_too(make_task: Task) -> None:
    task = replace(make_task(), refit=True)
    answer = linear_probe(task)
    rows = np.concatenate([task.train.rows, task.valid.rows])
    labels = np.concatenate([task.train.labels, task.valid.labels])
    plain = LogisticRegression(C=answer.settings["C"], max_iter=1000).fit(rows, labels)
    np.testing.assert_array_equal(answer.predictions, plain.predict(task.test_rows))


def test_logits_of_two_classes_are_those_of_the_logistic_function(make_task: Task) -> None:
    task = make_task(classes=2)
    fitted = fit_linear(task.train, 1.0)
    logits = class_logits(fitted, task.valid.rows, 3)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share[:, :2], fitted.predict_proba(task.valid.rows), atol=1e-6)
    assert (share[:, 2] == 0).all()


def test_one_shot_per_class_is_no_cause_for_a_warning(
    make_task: Task, recwarn: pytest.WarningsRecorder
) -> None:
    assert len(linear_probe(make_task(classes=12, shots=1)).predictions) == 240
    assert not recwarn.list


def test_one_class_cannot_be_probed(make_task: Task) -> None:
    train = make_task().train
    alone = train.labels == 1
    with pytest.raises(SourceError, match="two classes"):
        fit_linear(LabelledSet(train.rows[alone], train.labels[alone]), 1.0)


def test_quality_of_hand_made_logits() -> None:
    logits = np.log(np.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]))
    found = quality(logits, np.array([0, 0, 0]))
    assert found.accuracy == pytest.approx(200 / 3)
    assert found.log_probability == pytest.approx(np.log([0.7, 0.4, 0.5]).mean())
    unseen = quality(np.array([[0.0, -np.inf]]), np.array([1]))
    assert unseen.accuracy == 0 and np.isfinite(unseen.log_probability)
