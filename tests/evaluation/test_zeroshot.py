"""Classifiers from names and templates, and their accuracies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.errors import SourceError
from cnclip.evaluation.zeroshot import build_classifier, class_cosines, classify
from cnclip.model import ChineseClip
from cnclip.text.tokenizer import tokenize


def unit(rows: object) -> np.ndarray:
    matrix = np.asarray(rows, dtype=np.float64)
    return (matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)).astype(np.float32)


def test_a_classifier_is_the_mean_of_unit_rows_brought_to_unit_length(model: ChineseClip) -> None:
    templates = ["{}", "一张{}的照片", "{}"]  # the repeated one counts twice
    classifier = build_classifier(model, ["猫", "红{}花"], templates, batch_size=2, progress=None)
    assert classifier.shape == (2, 24) and classifier.dtype == np.float32
    prompts = [["猫", "一张猫的照片", "猫"], ["红{}花", "一张红{}花的照片", "红{}花"]]
    with torch.no_grad():
        expected = [
            unit(unit(model.encode_text(tokenize(each)).numpy()).mean(axis=0, keepdims=True))[0]
            for each in prompts
        ]
    np.testing.assert_allclose(classifier, expected, atol=1e-5)
    once = build_classifier(model, ["猫", "红{}花"], templates[:2], progress=None)
    assert np.abs(once - classifier).max() > 1e-4


def test_hand_made_accuracies() -> None:
    classifier = unit(np.eye(3))
    rows = unit([[3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 3, 1], [1, 0, 3], [1, 0, 3]])
    labels = np.array([0, 0, 1, 1, 1, 2])
    result = classify(rows, classifier, labels, ["猫", "狗", "鸟"])
    assert result.top1 == pytest.approx(400 / 6)
    assert result.top5 == 100.0
    assert result.mean_per_class == pytest.approx((50 + 200 / 3 + 100) / 3)
    assert result.confusion.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]
    assert [found.taken_for for found in result.classes] == [[("狗", 1)], [("鸟", 1)], []]
    assert result.chance() == pytest.approx(100 / 3) and result.chance(5) == 100


def test_a_constant_model_recognises_nothing() -> None:
    same = unit(np.ones((8, 4)))
    result = classify(same, same, np.arange(8), [f"c{i}" for i in range(8)])
    assert (result.top1, result.top5) == (0.0, 0.0)
    assert np.trace(result.confusion) == 0 and result.confusion.sum() == 8


def test_classes_without_pictures_are_left_out_of_the_mean_and_counted() -> None:
    result = classify(unit([[1, 0, 0]]), unit(np.eye(3)), np.array([0]), ["猫", "狗", "鸟"])
    assert (result.mean_per_class, result.empty_classes) == (100.0, 2)


def test_nan_and_nothing_are_refused() -> None:
    rows = unit(np.eye(3))
    with pytest.raises(SourceError, match="no labelled pictures"):
        classify(rows[:0], rows, np.zeros(0, dtype=np.int64), ["a", "b", "c"])
    broken = rows.copy()
    broken[1, 1] = np.nan
    with pytest.raises(SourceError, match="image 1"):
        classify(broken, rows, np.arange(3), ["a", "b", "c"])
    with pytest.raises(SourceError, match="needs class names"):
        build_classifier(object(), [], ["{}"])  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 30), st.integers(1, 12))
def test_equals_a_plain_count_at_every_block_size(seed: int, classes: int, images: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    rows, classifier = unit(rng.normal(size=(images, 4))), unit(rng.normal(size=(classes, 4)))
    labels = rng.integers(0, classes, images)
    names = [str(number) for number in range(classes)]
    result = classify(rows, classifier, labels, names, block_rows=block)
    order = np.argsort(-(rows.astype(np.float64) @ classifier.T.astype(np.float64)), axis=1)
    assert result.top1 == pytest.approx(100 * (order[:, 0] == labels).mean())
    assert result.top5 == pytest.approx(100 * (order[:, :5] == labels[:, None]).any(axis=1).mean())
    expected = np.zeros((classes, classes), dtype=int)
    np.add.at(expected, (labels, order[:, 0]), 1)
    assert (result.confusion == expected).all()


def test_namesakes_share_a_row_and_none_of_their_pictures_counts_as_recognised(model: ChineseClip) -> None:
    names = ["太阳镜", "猫", "太阳镜"]
    classifier = build_classifier(model, names, ["{}", "一张{}的图"], progress=None)
    np.testing.assert_array_equal(classifier[0], classifier[2])
    result = classify(classifier, classifier, np.arange(3), names)
    assert result.ranks.tolist() == [2, 1, 2] and result.predicted.tolist() == [2, 1, 0]
    cosines = class_cosines(classifier, classifier)
    np.testing.assert_array_equal(cosines[:, 0], cosines[:, 2])
    assert cosines[1, 1] == pytest.approx(1)
