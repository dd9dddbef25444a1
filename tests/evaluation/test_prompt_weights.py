"""Template weights are learned from pictures alone."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.prompt_weights import learn_template_weights
from cnclip.evaluation.zeroshot import ensemble


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures around three directions; a template that says the class, one that says noise, one constant."""
    rng = np.random.default_rng(seed)
    centres = np.eye(3, 8)
    pictures = unit(centres[rng.integers(0, 3, 60)] + 0.2 * rng.normal(size=(60, 8)) + 0.5 * np.eye(8)[7])
    good, noise = centres, rng.normal(size=(3, 8))
    constant = np.tile(np.eye(8)[7], (3, 1))  # near to every picture, tells nothing
    return pictures, unit(np.stack([good, noise, constant], axis=1))


def test_a_template_that_tells_classes_apart_weighs_more_than_noise_and_than_one_near_to_everything() -> None:
    pictures, prompts = scene()
    learned = learn_template_weights(pictures, prompts, 20.0)
    assert learned.weights.sum() == pytest.approx(1) and learned.pictures == 60
    assert learned.weights[0] > 0.9 > learned.weights[1] > learned.weights[2]
    assert 1 <= learned.effective < 1.5


def test_scores_equal_the_definition_written_out() -> None:
    pictures, prompts = scene(1)
    learned = learn_template_weights(pictures, prompts, 5.0)
    logits = 5.0 * np.einsum("nd,cpd->ncp", pictures.astype(np.float64), prompts.astype(np.float64))
    expected = (logits - logits.mean(axis=0)).max(axis=1).mean(axis=0)
    np.testing.assert_allclose(learned.scores, expected)
    np.testing.assert_allclose(learned.weights, np.exp(expected) / np.exp(expected).sum())


def test_equal_weights_are_the_mean_and_one_weight_is_one_template() -> None:
    _, prompts = scene()
    np.testing.assert_allclose(ensemble(prompts, np.full(3, 1 / 3)), ensemble(prompts), atol=1e-6)
    np.testing.assert_allclose(ensemble(prompts, np.array([0.0, 1.0, 0.0])), prompts[:, 1], atol=1e-6)


def test_many_pictures_are_thinned_evenly() -> None:
    pictures, prompts = scene()
    learned = learn_template_weights(pictures, prompts, 20.0, most_pictures=25)
    assert learned.pictures == 20
    again = learn_template_weights(pictures[::3], prompts, 20.0)
    np.testing.assert_array_equal(learned.weights, again.weights)


def test_nothing_to_choose_from_is_an_error() -> None:
    pictures, prompts = scene()
    with pytest.raises(SourceError, match="two pictures and two classes"):
        learn_template_weights(pictures[:1], prompts, 1.0)
    with pytest.raises(SourceError, match="two pictures and two classes"):
        learn_template_weights(pictures, prompts[:1], 1.0)
