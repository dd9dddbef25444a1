"""Which pictures are shots, validation and test."""

from __future__ import annotations

import numpy as np
import pytest

from cnclip.errors import RecipeError
from cnclip.evaluation.probe.shots import draw_shots, most_shots, same_pictures, split_off_test

LABELS = np.array([0] * 24 + [1] * 5 + [3] * 1 + [2] * 9)


def test_two_shots_contain_the_one_and_no_shot_is_a_validation_picture() -> None:
    before: set[int] = set()
    for count in (1, 2, 4, 8, 16):
        draw = draw_shots(LABELS, count, seed=7)
        assert before <= set(draw.train.tolist())
        before = set(draw.train.tolist())
        assert not before & set(draw_shots(LABELS, 16, seed=7).valid.tolist())
        given = np.bincount(LABELS[draw.train], minlength=4)
        assert given.tolist() == [min(count, 20), min(count, 4), min(count, 6), 1]


def test_a_class_keeps_at_most_four_and_at_most_a_third_for_validation() -> None:
    one, many = draw_shots(LABELS, 1, seed=0), draw_shots(LABELS, 16, seed=0)
    assert np.bincount(LABELS[one.valid], minlength=4).tolist() == [1, 1, 1, 0]
    assert np.bincount(LABELS[many.valid], minlength=4).tolist() == [4, 1, 3, 0]
    assert set(one.valid.tolist()) <= set(many.valid.tolist())


def test_classes_with_too_few_pictures_give_what_they_have_and_are_named() -> None:
    assert draw_shots(LABELS, 1, seed=0).short == {}
    assert draw_shots(LABELS, 8, seed=0).short == {1: 4, 2: 6, 3: 1}
    assert most_shots(LABELS) == 20


def test_all_takes_every_picture_once() -> None:
    draw = draw_shots(LABELS, None, seed=1)
    assert sorted([*draw.train.tolist(), *draw.valid.tolist()]) == list(range(len(LABELS)))
    assert draw.short == {}


def test_a_draw_is_a_function_of_its_seed_and_classes_are_drawn_independently() -> None:
    first, again, other = (draw_shots(LABELS, 4, seed=seed) for seed in (3, 3, 4))
    assert first.train.tolist() == again.train.tolist() and first.valid.tolist() == again.valid.tolist()
    assert first.train.tolist() != other.train.tolist()
    alone = draw_shots(LABELS[:24], 4, seed=3)
    assert alone.train.tolist() == [place for place in first.train.tolist() if place < 24]


def test_a_share_of_each_class_is_for_the_test() -> None:
    pool, test = split_off_test(LABELS, 0.25)
    assert sorted([*pool.tolist(), *test.tolist()]) == list(range(len(LABELS)))
    assert np.bincount(LABELS[test], minlength=4).tolist() == [6, 1, 2, 1]
    assert split_off_test(LABELS, 0.25)[1].tolist() == test.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_one_side_empty_is_refused(share: float) -> None:
    with pytest.raises(RecipeError, match="leaves nothing"):
        split_off_test(LABELS, share)


def test_no_shots_are_refused() -> None:
    with pytest.raises(RecipeError, match="0 shots"):
        draw_shots(LABELS, 0, seed=0)


def test_equal_pictures_on_both_sides_are_counted() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    test = np.concatenate([rows[[2]], rows[5:]])
    assert same_pictures(rows[:5], test, block_rows=2) == 1
