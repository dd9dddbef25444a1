"""What each query found: as `top_items` says, the best wrong item beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.insight.neighbours import Found, nearest
from cnclip.evaluation.retrieval import top_items
from cnclip.evaluation.rows import GRID, Indices, Rows, on_grid


def unit(rows: np.ndarray) -> Rows:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / length).astype(np.float32)


def angles(*degrees: float) -> Rows:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def assert_as_plain(found: Found, queries: Rows, gallery: Rows, pairs: set[tuple[int, int]], k: int) -> None:
    """Against all scores of each query, sorted."""
    scores = on_grid(queries) @ on_grid(gallery).T
    for query, row in enumerate(scores):
        order = sorted(range(len(row)), key=lambda item: (-row[item], item))
        assert found.items[query].tolist() == order[:k]
        assert found.scores[query].tolist() == (row[order[:k]] / GRID**2).astype(np.float32).tolist()
        assert found.correct[query].tolist() == [(query, item) in pairs for item in order[:k]]
        wrong = [item for item in order if (query, item) not in pairs]
        assert found.wrong[query] == (wrong[0] if wrong else -1)
        if wrong:
            assert found.wrong_scores[query] == np.float32(row[wrong[0]] / GRID**2)
        else:
            assert np.isnan(found.wrong_scores[query])


def test_two_texts_and_three_pictures_by_hand() -> None:
    pictures, texts = angles(0, 60, 90), angles(10, 80)
    found = nearest(pictures, texts, np.array([[0, 0], [1, 0], [1, 1]]), 2)
    assert found.t2i.items.tolist() == [[0, 1], [2, 1]]
    np.testing.assert_allclose(found.t2i.scores, np.cos(np.deg2rad([[10, 50], [10, 20]])), rtol=0, atol=1e-6)
    assert found.t2i.correct.tolist() == [[True, True], [False, True]]
    assert found.t2i.wrong.tolist() == [2, 2]  # both pictures that text 0 finds are correct
    np.testing.assert_allclose(found.t2i.wrong_scores, np.cos(np.deg2rad([80, 10])), rtol=0, atol=1e-6)
    assert found.i2t.items.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert found.i2t.wrong.tolist() == [1, -1, 1]  # picture 1 has both texts, picture 2 has none
    assert np.isnan(found.i2t.wrong_scores[1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 40),
    texts=st.integers(1, 40),
    k=st.integers(1, 12),
    block_rows=st.integers(1, 16),
    distinct=st.integers(1, 40),
)
def test_equals_the_plain_sort_with_ties_and_several_correct_items(
    seed: int, images: int, texts: int, k: int, block_rows: int, distinct: int
) -> None:
    rng = np.random.default_rng(seed)
    base = unit(rng.standard_normal((distinct, 5)))
    image_rows, text_rows = base[rng.integers(0, distinct, images)], base[rng.integers(0, distinct, texts)]
    count = int(rng.integers(1, images * texts + 1))
    pairs = np.stack([rng.integers(0, images, count), rng.integers(0, texts, count)], axis=1)
    found = nearest(image_rows, text_rows, pairs, k, block_rows=block_rows)
    known = {(int(image), int(text)) for image, text in pairs}
    assert_as_plain(found.i2t, image_rows, text_rows, known, k)
    assert_as_plain(found.t2i, text_rows, image_rows, {(text, image) for image, text in known}, k)


@pytest.mark.parametrize("block_rows", [64, 300])
def test_equals_top_items_where_float32_cannot_tell(block_rows: int) -> None:
    rng = np.random.default_rng(5)
    base = unit(rng.standard_normal((4, 64)))
    near = unit(base[rng.integers(0, 4, 300)] + 3e-8 * rng.standard_normal((300, 64)))  # almost equal rows
    texts = unit(rng.standard_normal((90, 64)))
    pairs: Indices = np.stack([np.arange(90), np.arange(90)], axis=1)
    found = nearest(near, texts, pairs, 10, block_rows=block_rows)
    items, scores = top_items(texts, near, 10)
    np.testing.assert_array_equal(found.t2i.items, items)
    np.testing.assert_array_equal(found.t2i.scores, scores)
    items, scores = top_items(near, texts, 10)
    np.testing.assert_array_equal(found.i2t.items, items)
    np.testing.assert_array_equal(found.i2t.scores, scores)


def test_a_model_that_says_the_same_of_everything_finds_the_first_items() -> None:
    same = np.repeat(unit(np.ones((1, 7))), 50, axis=0)
    found = nearest(same, same[:30], np.stack([np.arange(30)] * 2, axis=1), 3, block_rows=8)
    assert found.t2i.items.tolist() == [[0, 1, 2]] * 30
    assert found.t2i.wrong.tolist() == [1] + [0] * 29


@pytest.mark.nightly
def test_equals_top_items_of_thousands_of_rows() -> None:
    rng = np.random.default_rng(11)
    base = unit(rng.standard_normal((4000, 256)))
    pictures, texts = base[rng.integers(0, 4000, 6000)], unit(base[:3000] + 0.05 * base[1000:])
    pairs: Indices = np.stack([np.arange(3000), np.arange(3000)], axis=1)
    found = nearest(pictures, texts, pairs, 10)
    for side, queries, gallery in ((found.t2i, texts, pictures), (found.i2t, pictures, texts)):
        items, scores = top_items(queries, gallery, 10)
        np.testing.assert_array_equal(side.items, items)
        np.testing.assert_array_equal(side.scores, scores)
