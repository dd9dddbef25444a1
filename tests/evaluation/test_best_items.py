"""The k best items, in one pass with the ranks: as sorting the exact scores gives them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.block_scan import scan
from cnclip.evaluation.retrieval import recall_at_k, recall_with_top, top_items
from cnclip.evaluation.rows import GRID, on_grid


def unit(rows: object) -> np.ndarray:
    """float32 rows of unit length."""
    matrix = np.asarray(rows, dtype=np.float64)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def sorted_items(queries: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best by a stable sort of all exact scores."""
    exact = on_grid(queries) @ on_grid(gallery).T
    order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
    return order, (np.take_along_axis(exact, order, axis=1) / GRID**2).astype(np.float32)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Few distinct directions, some of them nearer to each other than float32 can tell."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = rng.normal(size=(draw(st.integers(1, 6)), 5))
    pool = np.concatenate([pool, pool + 1e-8, pool + 1e-7 * rng.normal(size=pool.shape)])
    queries = unit(pool[rng.integers(0, len(pool), draw(st.integers(1, 30)))])
    gallery = unit(pool[rng.integers(0, len(pool), draw(st.integers(1, 60)))])
    return queries, gallery, draw(st.integers(1, 12)), draw(st.integers(1, 40))


@settings(max_examples=200, deadline=None)
@given(crowds())
def test_equals_a_sort_of_the_exact_scores(case: tuple[np.ndarray, np.ndarray, int, int]) -> None:
    queries, gallery, k, block_rows = case
    items, scores = top_items(queries, gallery, k, block_rows=block_rows)
    expected, expected_scores = sorted_items(queries, gallery, k)
    np.testing.assert_array_equal(items, expected)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("block_rows", [40, 256, 1024])
def test_a_large_gallery_with_many_equal_items(
    threads: str, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    rng = np.random.default_rng(1)
    images, texts = unit(rng.normal(size=(3000, 16))), unit(rng.normal(size=(700, 16)))
    images[500:900] = images[499]
    texts[:3] = images[499]  # these have 401 equally good images
    texts[100:160] = texts[99]
    positives = np.stack([np.arange(3000), np.arange(3000) % 700], axis=1)
    found = recall_with_top(images, texts, positives, top=7, block_rows=block_rows)
    for items, scores, queries, gallery in (
        (found.images, found.image_scores, texts, images),
        (found.texts, found.text_scores, images, texts),
    ):
        expected, expected_scores = sorted_items(queries, gallery, 7)
        np.testing.assert_array_equal(items, expected)
        np.testing.assert_array_equal(scores, expected_scores)
    alone = recall_at_k(images, texts, positives)
    assert found.result.metrics() == alone.metrics()
    np.testing.assert_array_equal(found.result.t2i.ranks, alone.t2i.ranks)
    np.testing.assert_array_equal(found.result.i2t.ranks, alone.i2t.ranks)


def test_negative_scores_are_in_order_too() -> None:
    query = unit([[1, 0]])
    gallery = unit([[-1, 0.1], [-1, 0.5], [-1, 2], [1, 3]])
    items, scores = top_items(query, gallery, 4)
    assert items.tolist() == [[3, 2, 1, 0]]
    assert (np.diff(scores) < 0).all() and scores[0, 0] > 0 > scores[0, 1]


def test_no_queries_find_nothing() -> None:
    items, scores = top_items(np.zeros((0, 4), dtype=np.float32), unit(np.eye(4)), 3)
    assert items.shape == scores.shape == (0, 3)


def test_queries_with_a_thousand_correct_items_have_their_exact_ranks() -> None:
    """A class name and its pictures: such a query is counted in another way than one with a few."""
    rng = np.random.default_rng(2)
    texts = unit(rng.normal(size=(40, 12)))
    owners = np.where(np.arange(3000) < 1200, 3, rng.integers(0, 40, 3000))
    images = unit(rng.normal(size=(3000, 12)) + texts[owners])
    images[10:20] = images[9]  # ties among the correct ones
    images[1300:1330] = images[11]  # and with wrong ones
    positives = np.stack([np.arange(3000), owners], axis=1)
    exact = on_grid(texts) @ on_grid(images).T
    result = recall_at_k(images, texts, positives, block_rows=256)
    for text in range(40):
        right = owners == text
        wrong = exact[text, ~right]
        scores = np.sort(exact[text, right])[::-1]
        ranks = [place + int((wrong >= score).sum()) for place, score in enumerate(scores, start=1)]
        precision = np.mean([place / rank for place, rank in enumerate(ranks, start=1)])
        assert result.t2i.ranks[text] == ranks[0]
        assert result.t2i.per_query.average_precision[text] == pytest.approx(precision)


class Failing:
    """A watcher that cannot go on."""

    def see(self, *_: object, queries_are_columns: bool) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_watchers_error_ends_the_pass(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    rows = unit(np.random.default_rng(3).normal(size=(300, 4)))
    with pytest.raises(ZeroDivisionError):
        scan(rows, rows, by_text=[Failing()], block_rows=64)
