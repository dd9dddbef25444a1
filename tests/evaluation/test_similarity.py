"""Cosines of pairs and of all rows with all: checked against plain matrix products."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.similarity import SimilarRows, pair_scores


def unit_rows(count: int, width: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_scores_are_the_cosines_whatever_the_block_size() -> None:
    images, texts = unit_rows(7, 16, 1), unit_rows(11, 16, 2)
    pairs = np.random.default_rng(3).integers(0, (7, 11), (50, 2))
    scores = pair_scores(images, texts, pairs[:, 0], pairs[:, 1])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, (images @ texts.T)[pairs[:, 0], pairs[:, 1]], atol=1e-6)
    for block in (1, 7, 50):
        assert (pair_scores(images, texts, pairs[:, 0], pairs[:, 1], block_pairs=block) == scores).all()


def test_rows_of_different_models_are_refused() -> None:
    with pytest.raises(SourceError, match="16 columns, text rows 8"):
        pair_scores(unit_rows(2, 16, 1), unit_rows(2, 8, 1), np.array([0]), np.array([1]))


def test_rows_are_alike_from_the_threshold_on() -> None:
    angles = np.radians([0, 10, 20, 90], dtype=np.float64)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    everyone = np.arange(4)
    like = SimilarRows(rows, float(np.cos(np.radians(10.001)))).alike(everyone, everyone)
    assert like.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [False, True, True, False],
        [False, False, False, True],
    ]
    assert SimilarRows(rows, 0.9).similarity(0, 1) == pytest.approx(np.cos(np.radians(10)), abs=1e-6)


def test_products_beside_the_threshold_are_taken_exactly() -> None:
    rows = unit_rows(40, 64, 5)
    exact = rows.astype(np.float64) @ rows.astype(np.float64).T
    threshold = float(np.einsum("d,d->", rows[3].astype(np.float64), rows[9].astype(np.float64)))
    like = SimilarRows(rows, threshold).alike(np.arange(40), np.arange(40))
    assert like[3, 9] and like[9, 3]
    clear = np.abs(exact - threshold) > 1e-12
    assert (like == (exact >= threshold))[clear].all()
