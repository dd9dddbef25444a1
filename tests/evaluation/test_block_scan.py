"""The pass over the similarity matrix: every value once, within the bound that exactness rests on."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.evaluation.block_scan import product_bound, scan, scan_bound
from cnclip.evaluation.rows import GRID, on_grid


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Recorder:
    """A watcher that keeps the whole matrix [query, item], and how often it saw each value."""

    def __init__(self, queries: int, gallery: int) -> None:
        self.similarity = np.zeros((queries, gallery), dtype=np.float32)
        self.seen = np.zeros((queries, gallery), dtype=int)

    def see(
        self, similarity: np.ndarray, queries: slice, gallery: slice, *, queries_are_columns: bool
    ) -> None:
        self.similarity[queries, gallery] = similarity.T if queries_are_columns else similarity
        self.seen[queries, gallery] += 1


@pytest.mark.parametrize("threads", ["1", "2", "x"])
@pytest.mark.parametrize("block_rows", [1, 30, 64, 1024])
def test_every_value_is_shown_once_to_both_sides(
    threads: str, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    rng = np.random.default_rng(1)
    images, texts = unit(rng.normal(size=(97, 24))), unit(rng.normal(size=(140, 24)))
    by_text, by_image = Recorder(140, 97), Recorder(97, 140)
    scan(images, texts, by_text=[by_text], by_image=[by_image], block_rows=block_rows)
    assert (by_text.seen == 1).all() and (by_image.seen == 1).all()
    np.testing.assert_array_equal(by_text.similarity, by_image.similarity.T)
    np.testing.assert_allclose(by_text.similarity, texts @ images.T, atol=1e-6)


@pytest.mark.parametrize("width", [1, 16, 255, 257, 512, 700, 1024])
@pytest.mark.parametrize("kind", ["random", "alike", "opposed", "one large"])
def test_no_value_is_farther_from_the_exact_one_than_the_bound(width: int, kind: str) -> None:
    rng = np.random.default_rng(width)
    rows = rng.normal(size=(150, width))
    if kind == "alike":
        rows = 1 + 0.01 * rows
    elif kind == "opposed":  # large sums that cancel each other
        rows = np.where(np.arange(width) < width // 2, 1, -1) * (1 + 0.01 * rows)
        rows[::2] = np.abs(rows[::2])
    elif kind == "one large":
        rows[:, 0] = 100
    images, texts = unit(rows[:70]), unit(rows[70:])
    seen = Recorder(80, 70)
    scan(images, texts, by_text=[seen], block_rows=64)
    exact = on_grid(texts) @ on_grid(images).T / GRID**2
    assert np.abs(seen.similarity - exact).max() <= scan_bound(width)
    assert np.abs(texts @ images.T - exact).max() <= product_bound(width)


def test_the_bound_of_a_wide_product_is_that_of_its_parts() -> None:
    assert scan_bound(64) == pytest.approx(product_bound(64), rel=0.2)
    assert scan_bound(1024) < product_bound(1024) / 3


def test_loops_are_as_before_afterwards() -> None:
    rows = unit(np.random.default_rng(2).normal(size=(80, 8)))
    before = np.getbufsize()
    scan(rows, rows, by_text=[Recorder(80, 80)], block_rows=16)
    assert np.getbufsize() == before
