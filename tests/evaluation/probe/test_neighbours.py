"""Nearest neighbours and class means against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import KNeighborsClassifier

from cnclip.evaluation.probe.neighbours import TEMPERATURE, nearest_neighbours, neighbour_votes
from cnclip.evaluation.probe.prototypes import class_means, nearest_prototype
from cnclip.evaluation.probe.task import FewShotTask, LabelledSet

Task = Callable[..., FewShotTask]


@pytest.mark.parametrize("k", [1, 3, 5, 24])
def test_plain_votes_are_scikit_learns(make_task: Task, k: int) -> None:
    task = make_task()
    theirs = KNeighborsClassifier(k, metric="cosine").fit(task.train.rows, task.train.labels)
    votes = neighbour_votes(task.train, task.test_rows, k, 4, "uniform")
    np.testing.assert_allclose(votes / k, theirs.predict_proba(task.test_rows))
    np.testing.assert_array_equal(votes.argmax(axis=1), theirs.predict(task.test_rows))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_votes_by_similarity_are_scikit_learns_with_the_same_weights(make_task: Task, k: int) -> None:
    task = make_task()

    def weigh(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / TEMPERATURE)

    theirs = KNeighborsClassifier(k, metric="cosine", weights=weigh).fit(task.train.rows, task.train.labels)
    votes = neighbour_votes(task.train, task.test_rows, k, 4)
    shares = votes / votes.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, theirs.predict_proba(task.test_rows), atol=1e-4)


def test_more_neighbours_than_pictures_means_all_of_them(make_task: Task) -> None:
    task = make_task(shots=1)
    votes = neighbour_votes(task.train, task.test_rows, 50, 5, "uniform")
    assert votes.tolist() == [[1, 1, 1, 1, 0]] * len(task.test_rows)


def test_k_is_chosen_by_the_validation_pictures(make_task: Task) -> None:
    task = make_task()
    answer = nearest_neighbours(task)
    votes = neighbour_votes(task.train, task.test_rows, int(answer.settings["k"]), 4)
    np.testing.assert_array_equal(answer.predictions, votes.argmax(axis=1))
    assert nearest_neighbours(make_task(valid=0)).settings == {"k": 5}


def test_prototypes_name_the_nearest_centroid_of_unit_length(make_task: Task) -> None:
    task = make_task()
    means = class_means(task.train, 4)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1, atol=1e-6)
    nearest = pairwise_distances_argmin(
        task.test_rows, means
    )  # of unit rows, the nearest is the most similar
    np.testing.assert_array_equal(nearest_prototype(task).predictions, nearest)


def test_a_class_without_shots_is_never_named() -> None:
    train = LabelledSet(-np.eye(2, dtype=np.float32), np.array([1, 2]))
    task = FewShotTask(train, train, np.eye(2, dtype=np.float32), class_count=4)
    assert nearest_prototype(task).predictions.tolist() == [2, 1]
