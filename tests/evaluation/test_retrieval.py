"""Ranks and recalls against hand-made cases and a brute-force oracle."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from cnclip.errors import SourceError
from cnclip.evaluation.retrieval import RetrievalResult, expected_recall, recall_at_k, top_items


def unit(rows: object) -> np.ndarray:
    """float32 rows of unit length."""
    matrix = np.asarray(rows, dtype=np.float64)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def pairs(*items: tuple[int, int]) -> np.ndarray:
    return np.array(items, dtype=np.int64).reshape(-1, 2)


def random_case(seed: int, images: int = 40, texts: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positives = np.unique(rng.integers(0, [images, texts], size=(120, 2)), axis=0)
    return unit(rng.normal(size=(images, 16))), unit(rng.normal(size=(texts, 16))), positives


def test_hand_made_case() -> None:
    images = unit([[1, 0], [0, 1], [1, 1]])
    texts = unit([[1, 0.1], [1, 0.9], [-1, 0]])
    result = recall_at_k(images, texts, pairs((0, 0), (1, 1), (2, 2)), ks=(1, 2, 3))
    # Text 0 sees its image first; text 1 sees images 2, 0, 1; text 2 sees 1, 2, 0.
    assert result.t2i.ranks.tolist() == [1, 3, 2]
    assert result.t2i.recall == pytest.approx({1: 100 / 3, 2: 200 / 3, 3: 100})
    assert result.t2i.mean_recall == pytest.approx(200 / 3)
    assert result.t2i.median_rank == 2
    # Image 0 sees texts 0, 1, 2; image 1 sees 1, 0, 2; image 2 sees 1, 0, 2.
    assert result.i2t.ranks.tolist() == [1, 1, 3]
    assert result.metrics()["mean_recall"] == pytest.approx(
        (result.t2i.mean_recall + result.i2t.mean_recall) / 2
    )


def test_any_correct_item_is_a_hit_and_the_others_do_not_stand_in_its_way() -> None:
    images = unit([[1, 0.2], [1, 0.1], [1, 0], [0, 1]])
    texts = unit([[1, 0]])
    result = recall_at_k(images, texts, pairs((3, 0), (0, 0), (1, 0)), ks=(1, 2))
    assert result.t2i.ranks.tolist() == [2]  # image 2 is before image 1; image 0 is correct as well
    assert result.t2i.recall == {1: 0.0, 2: 100.0}


def test_a_constant_model_has_no_recall() -> None:
    same = unit(np.ones((20, 8)))
    result = recall_at_k(same, same, pairs(*((i, i) for i in range(20))))
    assert result.t2i.ranks.tolist() == [20] * 20
    assert result.t2i.recall == {1: 0.0, 5: 0.0, 10: 0.0}


def test_queries_without_a_correct_item_are_left_out_and_counted() -> None:
    images, texts = unit(np.eye(3)), unit([[1, 0, 0], [0, 1, 0]])
    result = recall_at_k(images, texts, pairs((0, 0)))
    assert (result.t2i.queries, result.t2i.unlabelled) == (1, 1)
    assert (result.i2t.queries, result.i2t.unlabelled) == (1, 2)
    assert result.t2i.recall[1] == 100
    assert result.t2i.ranks.tolist() == [1, 0]
    assert np.isnan(result.t2i.scores[1]) and result.t2i.scores[0] == pytest.approx(1)


def test_k_may_exceed_the_gallery() -> None:
    images = unit([[1, 0], [0, 1], [1, 1]])
    result = recall_at_k(images, images[::-1].copy(), pairs((0, 0)), ks=(10,))
    assert result.t2i.recall == {10: 100.0}
    assert result.t2i.chance == {10: pytest.approx(100.0)}


def test_repeated_pairs_count_once() -> None:
    images, texts, positives = random_case(0)
    twice = np.concatenate([positives, positives])
    assert_same(recall_at_k(images, texts, positives), recall_at_k(images, texts, twice))


@pytest.mark.parametrize("block_rows", [1, 2, 7, 40, 89, 90, 1000])
def test_ranks_do_not_depend_on_the_block_size(block_rows: int) -> None:
    images, texts, positives = random_case(1)
    images[5:9] = images[4]  # exact ties across block borders
    texts[40:50] = texts[39]
    expected = recall_at_k(images, texts, positives)
    assert_same(recall_at_k(images, texts, positives, block_rows=block_rows), expected)


def test_ranks_do_not_depend_on_the_order_of_the_items() -> None:
    images, texts, positives = random_case(2)
    images[10:20] = images[9]
    rng = np.random.default_rng(3)
    new_image, new_text = rng.permutation(len(images)), rng.permutation(len(texts))
    moved = np.stack([np.argsort(new_image)[positives[:, 0]], np.argsort(new_text)[positives[:, 1]]], axis=1)
    shuffled = recall_at_k(images[new_image], texts[new_text], moved)
    plain = recall_at_k(images, texts, positives)
    np.testing.assert_array_equal(shuffled.t2i.ranks, plain.t2i.ranks[new_text])
    np.testing.assert_array_equal(shuffled.i2t.ranks, plain.i2t.ranks[new_image])
    assert shuffled.metrics() == plain.metrics()


@st.composite
def many_to_many(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows drawn from few distinct directions, so that ties abound, and any pairs between them."""
    images, texts = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = unit(rng.normal(size=(draw(st.integers(1, 5)), 5)))
    every = [(i, t) for i in range(images) for t in range(texts)]
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    image_rows, text_rows = pool[rng.integers(0, len(pool), images)], pool[rng.integers(0, len(pool), texts)]
    return image_rows, text_rows, pairs(*chosen), draw(st.integers(1, 8))


def oracle_ranks(queries: np.ndarray, gallery: np.ndarray, correct: list[set[int]]) -> list[int]:
    """Ranks by sorting whole lists of exact integers, incorrect items before correct ones of equal score."""

    def exact(row: np.ndarray) -> list[int]:
        return [round(float(value) * 2**26) for value in row]

    items = [exact(row) for row in gallery]
    ranks = []
    for row, right in zip(queries, correct, strict=True):
        query = exact(row)
        scores = [sum(a * b for a, b in zip(query, item, strict=True)) for item in items]
        order = sorted(range(len(items)), key=lambda i: (-scores[i], i in right))
        rank = next((place for place, item in enumerate(order, 1) if item in right), 0)
        ranks.append(rank)
    return ranks


@settings(max_examples=300, deadline=None)
@given(many_to_many())
def test_equals_the_brute_force_oracle(case: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    images, texts, positives, block_rows = case
    result = recall_at_k(images, texts, positives, ks=(1, 2, 5), block_rows=block_rows)
    of_text = [{int(i) for i, t in positives if t == text} for text in range(len(texts))]
    of_image = [{int(t) for i, t in positives if i == image} for image in range(len(images))]
    assert result.t2i.ranks.tolist() == oracle_ranks(texts, images, of_text)
    assert result.i2t.ranks.tolist() == oracle_ranks(images, texts, of_image)
    found = [rank for rank in result.t2i.ranks.tolist() if rank]
    for k in (1, 2, 5):
        assert result.t2i.recall[k] == pytest.approx(100 * sum(rank <= k for rank in found) / len(found))


@pytest.mark.parametrize(
    ("positive", "gallery", "k"), [(1, 10, 3), (4, 10, 3), (9, 10, 2), (10, 10, 1), (2, 5, 9)]
)
def test_chance_is_the_hypergeometric_formula(positive: int, gallery: int, k: int) -> None:
    drawn = min(k, gallery)
    expected = 1 - comb(gallery - positive, drawn) / comb(gallery, drawn)
    assert expected_recall(np.array([positive]), gallery, k) == pytest.approx(100 * expected)


def test_chance_of_one_positive_is_k_over_the_gallery() -> None:
    assert expected_recall(np.array([1, 1, 1]), 1000, 10) == pytest.approx(1.0)


def test_chance_agrees_with_random_rows() -> None:
    rng = np.random.default_rng(7)
    images, texts = unit(rng.normal(size=(50, 32))), unit(rng.normal(size=(3000, 32)))
    positives = np.unique(np.stack([rng.integers(0, 50, 9000), np.arange(9000) % 3000], axis=1), axis=0)
    result = recall_at_k(images, texts, positives)
    for k in (1, 5, 10):
        assert result.t2i.recall[k] == pytest.approx(result.t2i.chance[k], abs=4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(value: float) -> None:
    images, texts, positives = random_case(4)
    texts[17, 3] = value
    with pytest.raises(SourceError, match=r"text 17 .*NaN"):
        recall_at_k(images, texts, positives)


def test_rows_of_another_length_are_refused() -> None:
    images, texts, positives = random_case(5)
    with pytest.raises(SourceError, match="length 2"):
        recall_at_k(images * 2, texts, positives)


def test_no_correct_pair_at_all_is_refused_not_zero() -> None:
    with pytest.raises(SourceError, match="nothing to measure"):
        recall_at_k(unit(np.eye(2)), unit(np.eye(2)), pairs())


def test_pairs_and_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SourceError, match="outside"):
        recall_at_k(unit(np.eye(2)), unit(np.eye(2)), pairs((0, 2)))
    with pytest.raises(SourceError, match="2 columns"):
        recall_at_k(unit(np.eye(2)), unit(np.eye(3)), pairs((0, 1)))


def test_top_items_come_best_first_and_equal_scores_in_gallery_order() -> None:
    gallery = unit([[0, 1], [1, 0], [1, 1], [1, 0]])
    index, score = top_items(unit([[1, 0], [0, 1]]), gallery, 3, block_rows=1)
    assert index.tolist() == [[1, 3, 2], [0, 2, 1]]
    np.testing.assert_allclose(score[0], [1, 1, np.sqrt(0.5)], atol=1e-6)
    assert top_items(unit([[1, 0]]), gallery, 9)[0].shape == (1, 4)


def assert_same(left: RetrievalResult, right: RetrievalResult) -> None:
    for one, other in ((left.t2i, right.t2i), (left.i2t, right.i2t)):
        np.testing.assert_array_equal(one.ranks, other.ranks)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert (one.recall, one.chance, one.queries) == (other.recall, other.chance, other.queries)


def test_average_precision_and_ndcg_of_a_hand_made_case() -> None:
    images = unit([[1, 0], [1, 0.2], [1, 0.4], [1, 0.6]])
    result = recall_at_k(images, unit([[1, 0]]), pairs((1, 0), (3, 0)))
    # The text sees images 0, 1, 2, 3; 1 and 3 are correct: ranks 2 and 4.
    assert result.t2i.mean_average_precision == pytest.approx(100 * (1 / 2 + 2 / 4) / 2)
    ideal = 1 / np.log2(2) + 1 / np.log2(3)
    assert result.t2i.ndcg == pytest.approx(100 * (1 / np.log2(3) + 1 / np.log2(5)) / ideal)
    assert (result.t2i.mrr, result.t2i.mean_rank) == (50, 2)


def test_equally_good_wrong_items_stand_before_every_correct_one() -> None:
    same = unit(np.ones((4, 3)))
    result = recall_at_k(same, same[:1], pairs((0, 0), (1, 0)))
    assert result.t2i.mean_average_precision == pytest.approx(100 * (1 / 3 + 2 / 4) / 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_without_ties_average_precision_and_ndcg_are_scikit_learns(seed: int) -> None:
    images, texts, positives = random_case(seed)
    result = recall_at_k(images, texts, positives, block_rows=16)
    correct = np.zeros((len(texts), len(images)), dtype=int)
    correct[positives[:, 1], positives[:, 0]] = 1
    scores = texts.astype(np.float64) @ images.T.astype(np.float64)
    for text in np.flatnonzero(correct.any(axis=1)):
        found = result.t2i.per_query
        expected = average_precision_score(correct[text], scores[text])
        assert found.average_precision[text] == pytest.approx(expected)
        assert found.ndcg[text] == pytest.approx(ndcg_score([correct[text]], [scores[text]], k=10))


@pytest.mark.parametrize("closeness", [0.0, 0.3, 3.0])
def test_a_large_case_has_the_ranks_of_the_exact_products(closeness: float) -> None:
    rng = np.random.default_rng(11)
    texts = unit(rng.normal(size=(300, 64)))
    owners = np.arange(1000) % 300
    images = unit(rng.normal(size=(1000, 64)) + closeness * 8 * texts[owners])
    images[500:600] = images[499]  # ties, many of them
    positives = np.stack([np.arange(1000), owners], axis=1)
    result = recall_at_k(images, texts, positives, block_rows=128)
    exact = np.rint(texts.astype(np.float64) * 2**26) @ np.rint(images.astype(np.float64) * 2**26).T
    for text in range(300):
        right = owners == text
        best = exact[text, right].max()
        assert result.t2i.ranks[text] == 1 + int((exact[text, ~right] >= best).sum())
    for image in range(1000):
        score = exact[owners[image], image]
        assert result.i2t.ranks[image] == int((exact[:, image] >= score).sum())
