"""Scores of correct and wrong pairs over common bins, and how well they part."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cnclip.evaluation.insight.neighbours import nearest
from cnclip.evaluation.insight.scores import BINS, find_spreads, wrong_pairs
from cnclip.evaluation.rows import GRID, Rows, on_grid


def unit(rng: np.random.Generator, count: int, width: int = 4) -> Rows:
    rows = rng.standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_two_captions_and_three_pictures_by_hand() -> None:
    pictures = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    captions = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    pairs = np.array([[0, 0], [1, 1]])
    hardest = nearest(pictures, captions, pairs, 1).t2i.wrong_scores
    spreads = find_spreads(pictures, captions, pairs, hardest)
    assert spreads is not None
    # correct 1 and 0.8; hardest 0 and 0.6; all wrong pairs 0, -1, 0.6, -0.6
    assert (spreads.correct.count, spreads.hardest.count, spreads.random.count) == (2, 2, 4)
    assert spreads.correct.mean == pytest.approx(0.9)
    assert spreads.hardest.median == pytest.approx(0.3)
    assert spreads.random.mean == pytest.approx(-0.25)
    assert (spreads.auc_random, spreads.auc_hardest) == (100, 100)
    assert (spreads.edges[0], spreads.edges[-1]) == pytest.approx((-1, 1))
    assert spreads.correct.shares[-1] == 50  # the cosine of 1; bins of 0.05
    assert spreads.random.shares[0] == 25
    assert sum(spreads.random.shares) == pytest.approx(100)


def test_equal_scores_count_half() -> None:
    same = np.array([[1, 0]] * 3, dtype=np.float32)
    spreads = find_spreads(same, same[:2], np.array([[0, 0], [1, 1]]), np.ones(2, dtype=np.float32))
    assert spreads is not None
    assert (spreads.auc_random, spreads.auc_hardest) == (50, 50)
    assert sum(spreads.correct.shares) == pytest.approx(100)
    json.dumps(spreads.to_json(), allow_nan=False)


def test_nothing_is_said_where_all_pictures_are_correct() -> None:
    one = np.array([[1, 0]], dtype=np.float32)
    assert find_spreads(one, one, np.array([[0, 0]]), np.full(1, np.nan, dtype=np.float32)) is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(2, 20), texts=st.integers(2, 20))
def test_auc_is_that_of_scikit_learn(seed: int, images: int, texts: int) -> None:
    rng = np.random.default_rng(seed)
    base = unit(rng, 6)  # few directions: ties
    pictures, captions = base[rng.integers(0, 6, images)], base[rng.integers(0, 6, texts)]
    pairs = np.stack([rng.integers(0, images, texts), np.arange(texts)], axis=1)
    hardest = nearest(pictures, captions, pairs, 1).t2i.wrong_scores
    spreads = find_spreads(pictures, captions, pairs, hardest)
    assert spreads is not None
    cosines = (on_grid(pictures) @ on_grid(captions).T / GRID**2).astype(np.float32)
    correct = np.zeros_like(cosines, dtype=bool)
    correct[pairs[:, 0], pairs[:, 1]] = True
    for wrong, auc in ((cosines[~correct], spreads.auc_random), (hardest, spreads.auc_hardest)):
        truth = np.repeat([1, 0], [int(correct.sum()), len(wrong)])
        scores = np.concatenate([cosines[correct], wrong])
        assert auc == pytest.approx(100 * roc_auc_score(truth, scores))


def test_all_wrong_pairs_are_taken_where_they_are_few() -> None:
    pairs = np.array([[0, 0], [2, 0], [1, 3]])
    wrong = wrong_pairs(pairs, 3, 100, np.random.default_rng(0))
    assert sorted(map(tuple, wrong.tolist())) == [(0, 3), (1, 0), (2, 3)]  # captions 1 and 2 have no picture


def test_sampled_wrong_pairs_are_wrong_and_even() -> None:
    rng = np.random.default_rng(0)
    pairs = np.stack([np.arange(60) % 30, np.arange(60)], axis=1)
    wrong = wrong_pairs(pairs, 30, 1000, rng)
    assert len(wrong) == 1000
    assert not {tuple(pair) for pair in wrong.tolist()} & {tuple(pair) for pair in pairs.tolist()}
    counts = np.bincount(wrong[:, 0], minlength=30)
    assert counts.min() > 10
    assert len(find := np.unique(wrong[:, 1])) == 60, find


def test_bins_are_common_to_all_kinds() -> None:
    rng = np.random.default_rng(4)
    pictures, captions = unit(rng, 50), unit(rng, 50)
    pairs = np.stack([np.arange(50)] * 2, axis=1)
    spreads = find_spreads(pictures, captions, pairs, nearest(pictures, captions, pairs, 1).t2i.wrong_scores)
    assert spreads is not None
    assert len(spreads.edges) == BINS + 1
    for spread in (spreads.correct, spreads.hardest, spreads.random):
        assert len(spread.shares) == BINS
        assert sum(spread.shares) == pytest.approx(100)
        assert spread.low <= spread.median <= spread.high
