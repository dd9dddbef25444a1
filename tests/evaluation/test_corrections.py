"""Dual softmax, CSLS and QB-norm against hand-worked cases and a plain reference of every score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.errors import RecipeError, SourceError, UnknownNameError
from cnclip.evaluation.corrections import (
    CORRECTIONS,
    Bank,
    Correction,
    CorrectionSettings,
    corrected_recall,
    corrected_retrieval,
)
from cnclip.evaluation.retrieval import RetrievalResult, recall_at_k

GREATEST = float(np.finfo(np.float32).max)
DIAGONAL = np.array([[0, 0], [1, 1], [2, 2]])
# texts in rows; image 1 is near to every text: plain search gives it to texts 0 and 2 as well
HUB = [[0.5, 0.6, 0.1], [0.1, 0.7, 0.2], [0.2, 0.6, 0.4]]


def unit(rows: object) -> np.ndarray:
    """float32 rows of unit length."""
    matrix = np.asarray(rows, dtype=np.float64)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def rows_of(similarity: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Images and texts whose similarity [text, image] is half of this; the texts are axes."""
    wanted = np.array(similarity) / 2
    images = np.concatenate([wanted.T, np.diag(np.sqrt(1 - (wanted**2).sum(axis=0)))], axis=1)
    return images.astype(np.float32), np.eye(len(wanted), images.shape[1], dtype=np.float32)


def test_plain_search_falls_for_the_hub() -> None:
    images, texts = rows_of(HUB)
    assert recall_at_k(images, texts, DIAGONAL).t2i.ranks.tolist() == [2, 1, 2]


def test_csls_of_a_hand_worked_case() -> None:
    images, texts = rows_of(HUB)
    result = corrected_recall("csls", images, texts, DIAGONAL, (1, 2), CorrectionSettings(neighbours=2))
    # all twice as large: r(image) = .35, .65, .3
    # 2 s - r: text 0 .65 .55 -.1; text 1 -.15 .75 .1; text 2 .05 .55 .5
    assert result.t2i.ranks.tolist() == [1, 1, 2]
    assert result.t2i.recall == pytest.approx({1: 200 / 3, 2: 100})
    np.testing.assert_allclose(result.t2i.scores, [0.325, 0.375, 0.25], atol=1e-6)
    # r(text) = .55, .45, .5; image 1 scores .65, .95, .7
    assert result.i2t.ranks.tolist() == [1, 1, 1]
    np.testing.assert_allclose(result.i2t.scores, [0.225, 0.475, 0.15], atol=1e-6)


def test_dual_softmax_of_a_hand_worked_case() -> None:
    images, texts = rows_of(HUB)
    result = corrected_recall("dual_softmax", images, texts, DIAGONAL, (1,), CorrectionSettings(20))
    # sums of exp(20 s) over the texts: image 0 158.52, image 1 1903.49, image 2 64.71
    assert result.t2i.ranks.tolist() == [1, 1, 1]
    expected = [0.25 * 148.413 / 158.520, 0.35 * 1096.633 / 1903.491, 0.2 * 54.598 / 64.706]
    np.testing.assert_allclose(result.t2i.scores, expected, rtol=1e-4)
    # over the images: text 0 148.413 + 403.429 + 2.718
    assert result.i2t.scores[0] == pytest.approx(0.25 * 148.413 / 554.560, rel=1e-4)


def test_qb_norm_of_a_hand_worked_case() -> None:
    bank_texts = [[0.1, 0.8, 0.1], [0.3, 0.7, 0.1]]  # both find image 1
    images, rows = rows_of([*HUB, *bank_texts])
    texts, bank = rows[:3], Bank(images=images[[1]], texts=rows[3:])
    found = corrected_retrieval(
        "qb_norm", images, texts, DIAGONAL, (1,), CorrectionSettings(beta=40), bank=bank
    )
    # exp(20 of these numbers); logs of the bank's sums: 6.018, 16.127, 2.693
    # every text finds image 1, so all change
    # text 0: 3.982 -4.127 -.693; text 1: -4.018 -2.127 1.307; text 2: -2.018 -4.127 5.307
    assert found.result.t2i.ranks.tolist() == [1, 2, 1]  # text 1 wanted the hub, and loses it
    np.testing.assert_allclose(found.result.t2i.scores, [3.982, -2.127, 5.307], atol=1e-3)
    assert found.changed["t2i"] == 100 and found.bank == {"t2i": 2, "i2t": 1}


def test_qb_norm_leaves_queries_alone_whose_nearest_item_no_bank_query_found() -> None:
    images, rows = rows_of([[0.5, 0.6, 0.1], [0.6, 0.5, 0.2], [0.2, 0.3, 0.6], [0.1, 0.7, 0.1]])
    bank = Bank(images=images[[0]], texts=rows[3:])  # it finds image 1, and so does text 0 alone
    found = corrected_retrieval("qb_norm", images, rows[:3], DIAGONAL, (1,), bank=bank)
    assert found.changed["t2i"] == pytest.approx(100 / 3)
    assert found.result.t2i.ranks.tolist() == [1, 2, 1]
    assert found.result.t2i.scores[0] == pytest.approx(20 * 0.25 - 20 * 0.05, abs=1e-4)  # one bank query
    np.testing.assert_allclose(found.result.t2i.scores[1:], [0.25, 0.3], atol=1e-6)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, Bank, CorrectionSettings]:
    """Rows drawn from few distinct directions, so that ties abound, any pairs between them, and a bank."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, texts, bank = (draw(st.integers(1, 7)) for _ in range(3))
    pool = unit(rng.normal(size=(draw(st.integers(1, 6)), 4)))
    image_rows, text_rows, first, second = (
        pool[rng.integers(0, len(pool), n)] for n in (images, texts, bank, bank)
    )
    every = [(i, t) for i in range(images) for t in range(texts)]
    pairs = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    chosen = CorrectionSettings(
        temperature=draw(st.sampled_from([0.5, 10.0, 100.0])),
        neighbours=draw(st.integers(1, 9)),
        beta=draw(st.sampled_from([1.0, 20.0])),
        retrieved=draw(st.integers(1, 3)),
        over=draw(st.sampled_from(["test", "bank"])),
        block_rows=draw(st.integers(1, 8)),
    )
    return image_rows, text_rows, np.array(pairs), Bank(first, second), chosen


def exact(first: np.ndarray, second: np.ndarray) -> float:
    """Similarity of two rows, without rounding."""
    units = (round(float(a) * 2**26) * round(float(b) * 2**26) for a, b in zip(first, second, strict=True))
    return sum(units) / 2**52


def grid(value: float) -> float:
    return round(value * 2**32) / 2**32


def plain_scores(
    name: Correction, chosen: CorrectionSettings, queries: np.ndarray, gallery: np.ndarray, asked: np.ndarray
) -> list[list[float]]:
    """Every corrected score [query][item], one after another, from the definitions."""
    scores = [[exact(query, item) for item in gallery] for query in queries]
    others = [[exact(query, item) for item in gallery] for query in asked]
    columns = list(zip(*others, strict=True))
    if name == "csls":
        means = []
        for column in columns:
            nearest = sorted(column, reverse=True)[: chosen.neighbours]
            means.append(grid(math.fsum(nearest) / len(nearest)))
        return [[2 * s - mean for s, mean in zip(row, means, strict=True)] for row in scores]
    scale = chosen.temperature if name == "dual_softmax" else chosen.beta
    sums = [grid(math.log(math.fsum(math.exp(scale * s) for s in column))) for column in columns]
    if name == "dual_softmax":
        return [
            [s * math.exp(scale * s - total) for s, total in zip(row, sums, strict=True)] for row in scores
        ]
    found = {
        item for row in others for item in sorted(range(len(row)), key=lambda i: -row[i])[: chosen.retrieved]
    }
    return [
        [scale * s - total for s, total in zip(row, sums, strict=True)]
        if row.index(max(row)) in found
        else row
        for row in scores
    ]


def plain_ranks(scores: list[list[float]], correct: list[set[int]]) -> list[int]:
    """Ranks by sorting whole lists, incorrect items before correct ones of equal score."""
    ranks = []
    for row, right in zip(scores, correct, strict=True):
        order = sorted(range(len(row)), key=lambda i: (-row[i], i in right))
        ranks.append(next((place for place, item in enumerate(order, 1) if item in right), 0))
    return ranks


@pytest.mark.parametrize("name", CORRECTIONS)
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_equals_a_plain_reference(
    name: Correction, case: tuple[np.ndarray, np.ndarray, np.ndarray, Bank, CorrectionSettings]
) -> None:
    images, texts, pairs, bank, chosen = case
    result = corrected_recall(name, images, texts, pairs, (1, 2), chosen, bank=bank)
    uses_bank = name == "qb_norm" or chosen.over == "bank"
    for way, queries, gallery, own, place in (
        (result.t2i, texts, images, bank.texts, 1),
        (result.i2t, images, texts, bank.images, 0),
    ):
        scores = plain_scores(name, chosen, queries, gallery, own if uses_bank else queries)
        correct = [{int(p[1 - place]) for p in pairs if p[place] == q} for q in range(len(queries))]
        assert way.ranks.tolist() == plain_ranks(scores, correct)
        for query, right in enumerate(correct):
            if right:
                best = max(scores[query][item] for item in right)
                best = min(best, GREATEST)
                assert float(way.scores[query]) == pytest.approx(best, rel=1e-6, abs=1e-30)


def hubs(seed: int, noise: float = 0.9) -> tuple[np.ndarray, np.ndarray, Bank, np.ndarray]:
    """One caption per picture, and pictures that are near to all captions to an uneven degree."""
    rng = np.random.default_rng(seed)
    common = np.zeros(32)
    common[0] = 1

    def half(meaning: np.ndarray, pull: np.ndarray) -> np.ndarray:
        rows = meaning + noise * rng.normal(size=meaning.shape) / np.sqrt(32)
        return unit(rows / np.linalg.norm(rows, axis=1, keepdims=True) + pull[:, None] * common)

    meaning = unit(rng.normal(size=(800, 32)))
    pictures = half(meaning, np.abs(rng.normal(size=800)) * 0.8)
    captions = half(meaning, np.full(800, 0.8))
    pairs = np.repeat(np.arange(300)[:, None], 2, axis=1)
    return pictures[:300], captions[:300], Bank(pictures[300:], captions[300:]), pairs


@pytest.mark.parametrize("name", CORRECTIONS)
def test_where_a_few_pictures_are_near_to_everything_corrections_help(name: Correction) -> None:
    images, texts, bank, pairs = hubs(0)
    plain = recall_at_k(images, texts, pairs)
    chosen = CorrectionSettings(temperature=20)
    corrected = corrected_recall(name, images, texts, pairs, (1, 5, 10), chosen, bank=bank)
    assert corrected.t2i.recall[1] > plain.t2i.recall[1] + 5


@pytest.mark.parametrize("name", ["dual_softmax", "csls"])
def test_a_fair_bank_helps_too(name: Correction) -> None:
    images, texts, bank, pairs = hubs(0)
    chosen = CorrectionSettings(temperature=20, over="bank")
    found = corrected_retrieval(name, images, texts, pairs, (1,), chosen, bank=bank)
    assert found.bank == {"t2i": 500, "i2t": 500}
    assert found.result.t2i.recall[1] > recall_at_k(images, texts, pairs).t2i.recall[1] + 5


@pytest.mark.parametrize("name", ["dual_softmax", "csls"])
def test_where_many_queries_want_one_picture_corrections_harm(name: Correction) -> None:
    rng = np.random.default_rng(4)
    wanted = rng.normal(size=24)
    texts = unit(wanted + 1.2 * rng.normal(size=(60, 24)))  # all of picture 0
    images = unit(np.concatenate([wanted[None], wanted + 3 * rng.normal(size=(39, 24))]))
    pairs = np.stack([np.zeros(60, dtype=np.int64), np.arange(60)], axis=1)
    plain = recall_at_k(images, texts, pairs).t2i.recall[1]
    corrected = corrected_recall(name, images, texts, pairs, (1,), CorrectionSettings(temperature=50))
    assert corrected.t2i.recall[1] < plain - 20


@pytest.mark.parametrize("name", CORRECTIONS)
@pytest.mark.parametrize("over", ["test", "bank"])
def test_the_outcome_does_not_depend_on_the_block_size(
    name: Correction, over: Literal["test", "bank"]
) -> None:
    images, texts, bank, pairs = hubs(1)
    images, texts, pairs = images[:90], texts[:90], pairs[:90]
    images[40:60] = images[39]  # ties
    bank = bank.sampled(70, 0)
    found = [
        corrected_recall(
            name, images, texts, pairs, (1,), CorrectionSettings(over=over, block_rows=side), bank=bank
        )
        for side in (1024, 1, 13, 64)
    ]
    for other in found[1:]:
        same(other, found[0])


@pytest.mark.parametrize("name", CORRECTIONS)
def test_ranks_do_not_depend_on_the_order_of_the_items(name: Correction) -> None:
    images, texts, bank, pairs = hubs(2)
    order = np.random.default_rng(5).permutation(len(images))
    moved = np.stack([np.argsort(order), np.arange(len(texts))], axis=1)
    plain = corrected_recall(name, images, texts, pairs, (1,), bank=bank)
    other = corrected_recall(name, images[order], texts, moved, (1,), bank=bank)
    np.testing.assert_array_equal(other.t2i.ranks, plain.t2i.ranks)
    np.testing.assert_array_equal(other.i2t.ranks, plain.i2t.ranks[order])


def test_a_query_with_many_correct_items_has_the_ranks_of_a_sort() -> None:
    rng = np.random.default_rng(6)
    images, texts = unit(rng.normal(size=(400, 8))), unit(rng.normal(size=(6, 8)))
    images[50:70] = images[49]
    owners = np.where(np.arange(400) < 150, 2, rng.integers(0, 6, 400))
    pairs = np.stack([np.arange(400), owners], axis=1)
    result = corrected_recall("csls", images, texts, pairs, (1,), CorrectionSettings(block_rows=32))
    scores = plain_scores("csls", CorrectionSettings(), texts, images, texts)
    for text in range(6):
        row, right = np.array(scores[text]), owners == text
        ordered = np.sort(row[right])[::-1]
        ranks = [place + (row[~right] >= score).sum() for place, score in enumerate(ordered, start=1)]
        precision = np.mean([place / rank for place, rank in enumerate(ranks, start=1)])
        assert result.t2i.ranks[text] == ranks[0]
        assert result.t2i.per_query.average_precision[text] == pytest.approx(precision)


def test_a_constant_model_has_no_recall_after_correction_either() -> None:
    same_rows = unit(np.ones((20, 8)))
    pairs = np.repeat(np.arange(20)[:, None], 2, axis=1)
    for name in CORRECTIONS:
        result = corrected_recall(name, same_rows, same_rows, pairs, bank=Bank(same_rows, same_rows))
        assert result.t2i.recall == {1: 0.0, 5: 0.0, 10: 0.0}


def test_a_large_bank_is_drawn_down_by_its_seed() -> None:
    images, texts, bank, pairs = hubs(3)
    few = CorrectionSettings(bank_rows=100)
    first, again, other = (
        corrected_retrieval("qb_norm", images, texts, pairs, (1,), chosen, bank=bank)
        for chosen in (few, few, CorrectionSettings(bank_rows=100, seed=1))
    )
    assert first.bank == {"t2i": 100, "i2t": 100}
    same(first.result, again.result)
    assert (first.result.t2i.scores != other.result.t2i.scores).any()


def test_what_cannot_be_corrected_is_refused() -> None:
    images, texts = rows_of(HUB)
    with pytest.raises(RecipeError, match="needs a bank"):
        corrected_recall("qb_norm", images, texts, DIAGONAL)
    with pytest.raises(RecipeError, match="needs a bank"):
        corrected_recall("csls", images, texts, DIAGONAL, (1,), CorrectionSettings(over="bank"))
    with pytest.raises(UnknownNameError, match="sinkhorn"):
        corrected_recall("sinkhorn", images, texts, DIAGONAL)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="2 columns"):
        corrected_recall("qb_norm", images, texts, DIAGONAL, bank=Bank(unit(np.eye(2)), unit(np.eye(2))))
    with pytest.raises(SourceError, match="no text rows"):
        corrected_recall("qb_norm", images, texts, DIAGONAL, bank=Bank(images, texts[:0]))
    with pytest.raises(SourceError, match="nothing to measure"):
        corrected_recall("csls", images, texts, DIAGONAL[:0])
    with pytest.raises(RecipeError, match="temperature"):
        CorrectionSettings(temperature=1000)
    with pytest.raises(RecipeError, match="at least 1"):
        CorrectionSettings(neighbours=0)


def same(left: RetrievalResult, right: RetrievalResult) -> None:
    for one, other in ((left.t2i, right.t2i), (left.i2t, right.i2t)):
        np.testing.assert_array_equal(one.ranks, other.ranks)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.per_query.average_precision, other.per_query.average_precision)
