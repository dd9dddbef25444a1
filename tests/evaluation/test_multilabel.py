"""Pictures that show several classes."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.multilabel import best_shown_ranks, classify_marked

COSINES = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6], [0.3, 0.3, 0.3]], dtype=np.float32)


def marks(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int8)


def test_the_best_shown_class_is_ranked_among_those_not_shown() -> None:
    assert best_shown_ranks(COSINES, marks([0, 1, 1], [0, 1, 0], [1, 0, 0])).tolist() == [2, 1, 3]


def test_an_unjudged_class_does_not_stand_in_the_way() -> None:
    assert best_shown_ranks(COSINES, marks([-1, 1, 0], [1, -1, 0], [0, 0, 0])).tolist() == [1, 2, 0]


def test_hand_made_multi_label_numbers() -> None:
    result = classify_marked(COSINES, marks([1, 1, 0], [0, 0, 1], [0, 0, 0]), ["猫", "狗", "鸟"], samples=20)
    assert (result.top1, result.top5, result.images) == (50.0, 100.0, 3)
    # 猫: picture 1 is surest of it; 狗: pictures 2 and 3 stand before or at it by softmax(100 cosine)
    assert result.classes[0].average_precision == 100
    assert [found.images for found in result.classes] == [1, 1, 1]
    for span in (result.map11, *result.spans.values()):
        assert span.low <= span.value <= span.high
    assert result.spans["top1"].value == 50
    assert result.chance == pytest.approx(100 / 3)


def test_a_class_is_ranked_over_pictures_by_probability_not_by_cosine() -> None:
    cosines = np.array([[0.30, 0.10], [0.32, 0.40]], dtype=np.float32)  # the second looks more like anything
    result = classify_marked(cosines, marks([1, 0], [0, 1]), ["猫", "狗"], samples=5)
    assert result.map11.value == 100


def test_a_class_that_no_picture_shows_has_no_precision() -> None:
    result = classify_marked(COSINES, marks([1, 0, 0], [1, 0, 0], [1, 0, 0]), ["猫", "狗", "鸟"], samples=5)
    assert [found.average_precision for found in result.classes] == [100, None, None]
    with pytest.raises(SourceError, match="no picture shows"):
        classify_marked(COSINES, marks([0, 0, -1], [0, 0, 0], [0, 0, 0]), ["猫", "狗", "鸟"])
