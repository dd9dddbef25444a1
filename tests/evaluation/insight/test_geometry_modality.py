"""Gap, alignment, uniformity and dimension: by hand, and against plain loops over pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from cnclip.evaluation.insight.modality import (
    UNIFORMITY_ROWS,
    effective_dimension,
    find_modality,
    uniformity,
)
from cnclip.evaluation.rows import Rows


def unit(rng: np.random.Generator, count: int, width: int) -> Rows:
    rows = rng.standard_normal((count, width)) + 0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_two_pictures_and_two_captions_by_hand() -> None:
    pictures, captions = np.eye(2, dtype=np.float32), np.array([[1, 0], [1, 0]], dtype=np.float32)
    found = find_modality(pictures, captions, np.array([[0, 0], [1, 1], [1, 1]]))
    assert (found.pictures, found.captions, found.pairs, found.width) == (2, 2, 2, 2)
    assert found.gap == pytest.approx(0.5**0.5)  # between (1/2, 1/2) and (1, 0)
    assert found.means_cosine == pytest.approx(0.5**0.5)
    assert (found.within_pictures, found.within_captions) == pytest.approx((0, 1))
    assert (found.matching, found.others) == pytest.approx((0.5, 0.5))  # cosines 1 and 0, both
    assert found.alignment == pytest.approx(1)  # squared distances 0 and 2
    assert found.nearer_to_own == pytest.approx(75)  # both captions; of the pictures only (0, 1)
    assert found.picture_uniformity == pytest.approx(-4)  # ln exp(-2 * 2)
    assert found.caption_uniformity == pytest.approx(0)
    assert found.picture_dimension == pytest.approx(1)
    assert np.isnan(found.caption_dimension)


def test_six_directions_have_three_dimensions() -> None:
    axes = np.eye(5, dtype=np.float32)[:3]
    assert effective_dimension(np.concatenate([axes, -axes])) == pytest.approx(3)


def test_the_same_cloud_twice_has_no_gap_and_is_not_told_apart() -> None:
    rows = unit(np.random.default_rng(1), 40, 6)
    found = find_modality(rows, rows, np.stack([np.arange(40)] * 2, axis=1))
    assert found.gap == pytest.approx(0, abs=1e-7)
    assert found.nearer_to_own == 50
    assert found.alignment == 0
    assert found.within_pictures == pytest.approx(found.others, abs=1e-6)


def test_what_cannot_be_said_of_one_picture_is_null_in_json() -> None:
    row = np.array([[1, 0]], dtype=np.float32)
    found = find_modality(row, row, np.array([[0, 0]]))
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["within_pictures"] is None
    assert value["picture_uniformity"] is None
    assert value["others"] is None
    assert value["matching"] == 1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(2, 25),
    texts=st.integers(2, 25),
    width=st.integers(2, 8),
)
def test_equals_plain_means_over_all_pairs(seed: int, images: int, texts: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    pictures, captions = unit(rng, images, width), unit(rng, texts, width)
    count = int(rng.integers(1, images * texts))
    keys = rng.choice(images * texts, count, replace=False)
    pairs = np.stack([keys // texts, keys % texts], axis=1)
    found = find_modality(pictures, captions, pairs)
    cosines = pictures.astype(np.float64) @ captions.T.astype(np.float64)
    correct = np.zeros_like(cosines, dtype=bool)
    correct[pairs[:, 0], pairs[:, 1]] = True
    assert found.matching == pytest.approx(cosines[correct].mean())
    assert found.others == pytest.approx(cosines[~correct].mean())
    distances = ((pictures[pairs[:, 0]].astype(np.float64) - captions[pairs[:, 1]]) ** 2).sum(axis=1)
    assert found.alignment == pytest.approx(distances.mean(), abs=1e-9)
    for rows, within, even, dimension in (
        (pictures, found.within_pictures, found.picture_uniformity, found.picture_dimension),
        (captions, found.within_captions, found.caption_uniformity, found.caption_dimension),
    ):
        wide = rows.astype(np.float64)
        above = np.triu_indices(len(rows), 1)
        assert within == pytest.approx((wide @ wide.T)[above].mean(), abs=1e-6)
        assert even == pytest.approx(np.log(np.exp(-2 * pdist(wide) ** 2).mean()), abs=1e-5)
        values = np.linalg.eigvalsh(np.cov(wide.T))
        assert dimension == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-6)
    means = wide_mean(pictures), wide_mean(captions)
    assert found.gap == pytest.approx(np.linalg.norm(means[0] - means[1]), abs=1e-9)
    own = [
        np.mean(np.linalg.norm(rows - means[kind], axis=1) < np.linalg.norm(rows - means[1 - kind], axis=1))
        for kind, rows in enumerate((pictures, captions))
    ]
    assert found.nearer_to_own == pytest.approx(50 * sum(own))


def wide_mean(rows: Rows) -> np.ndarray:
    return rows.astype(np.float64).mean(axis=0)


def test_many_rows_are_sampled_by_the_seed() -> None:
    rng = np.random.default_rng(2)
    pictures, captions = unit(rng, UNIFORMITY_ROWS + 400, 3), unit(rng, 30, 3)
    pairs = np.stack([np.arange(30)] * 2, axis=1)
    first, again, other = (find_modality(pictures, captions, pairs, seed=seed) for seed in (0, 0, 1))
    assert first.sampled
    assert first == again
    assert first.picture_uniformity != other.picture_uniformity
    assert first.picture_uniformity == pytest.approx(uniformity(pictures), abs=0.02)
