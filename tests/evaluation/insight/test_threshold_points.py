"""Thresholds on six captions by hand, cross-fitting, intervals, and growing galleries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnclip.evaluation.insight.cross_fitting import halves_of_groups, operate
from cnclip.evaluation.insight.gallery_size import BySize, find_by_size
from cnclip.evaluation.insight.neighbours import nearest
from cnclip.evaluation.insight.operating_point import (
    EVERYTHING,
    FIGURES,
    NOTHING,
    Answers,
    Setting,
    best_balance,
    figures_at,
    intervals_at,
    lowest_with_precision,
    sweep,
)
from cnclip.evaluation.insight.threshold import first_answers
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.rows import GRID, on_grid
from cnclip.evaluation.uncertainty import Draws

TOP = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
RIGHT = [True, True, False, True, False, True]
WITHOUT = [0.3, 0.5, 0.7, 0.4, 0.5, 0.2]


def six(times: int = 1) -> Answers:
    """Six captions, each so many times."""
    groups = np.arange(6 * times)
    return Answers(np.tile(TOP, times), np.tile(RIGHT, times), np.tile(WITHOUT, times), groups)


def test_six_captions_by_hand() -> None:
    found = sweep(six())
    assert found.thresholds == pytest.approx([EVERYTHING, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, NOTHING])
    assert found.shown.tolist() == [6, 6, 6, 5, 4, 3, 2, 1, 0]
    assert found.right.tolist() == [4, 4, 4, 3, 3, 2, 2, 1, 0]
    assert found.wrongly.tolist() == [6, 5, 4, 3, 1, 1, 0, 0, 0]
    at = found.figures(4)
    assert at.precision == pytest.approx(75)
    assert at.recall == pytest.approx(50)
    assert at.rejection == pytest.approx(100 * 5 / 6)
    assert at.balance == pytest.approx((50 + 500 / 6) / 2)
    assert at.mixed_precision == pytest.approx(60)  # three of the four and the one that is wrongly shown


def test_the_lower_of_two_equally_balanced_thresholds_is_taken() -> None:
    assert best_balance(sweep(six())) == pytest.approx(0.55)  # 3 - 1 right answers more, as 2 - 0 at 0.75


def test_scores_that_tell_nothing_suggest_nothing() -> None:
    answers = Answers(np.array(TOP), np.zeros(6, dtype=bool), np.array(TOP), np.arange(6))
    assert best_balance(sweep(answers)) == NOTHING


@pytest.mark.parametrize(
    ("goal", "setting", "threshold"),
    [
        (66, "as they are", EVERYTHING),
        (67, "as they are", 0.55),  # 75 % there; 67 % of 60 is not reached at 0.45
        (75, "as they are", 0.55),
        (76, "as they are", 0.75),
        (60, "half without", 0.55),
        (61, "half without", 0.75),
    ],
)
def test_lowest_threshold_with_a_precision(goal: int, setting: Setting, threshold: float) -> None:
    rule = lowest_with_precision(goal, setting)
    assert rule(sweep(six(10))) == pytest.approx(threshold)


def test_a_precision_from_fewer_than_twenty_pictures_is_not_reached() -> None:
    rule = lowest_with_precision(90, "as they are")
    assert rule(sweep(six(9))) is None  # 18 pictures are shown at 0.75, all of them right
    assert rule(sweep(six(10))) == pytest.approx(0.75)


def test_the_highest_threshold_with_a_recall() -> None:
    found = sweep(six())
    assert [found.reaching(recall) for recall in (16, 17, 50, 66, 67)] == [7, 6, 4, 2, None]


def test_figures_at_the_score_itself_show_the_picture() -> None:
    assert figures_at(six(), 0.7).precision == pytest.approx(100 * 2 / 3)
    nothing = figures_at(six(), NOTHING)
    assert (nothing.recall, nothing.rejection, nothing.balance) == (0, 100, 50)
    assert np.isnan(nothing.precision)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(-1, 9)), min_size=1, max_size=30))
def test_sweep_equals_counting_at_each_threshold(rows: list[tuple[int, bool, int]]) -> None:
    top = np.array([max(first, last) / 10 for first, _, last in rows])
    without = np.array([last / 10 if last >= 0 else -np.inf for _, _, last in rows])
    right = np.array([flag and first > last for first, flag, last in rows])
    answers = Answers(top, right, without, np.arange(len(rows)))
    found = sweep(answers)
    best = -1
    for place, threshold in enumerate(found.thresholds):
        shown = [index for index in range(len(rows)) if top[index] >= threshold]
        hits = sum(bool(right[index]) for index in shown)
        wrongly = sum(bool(value >= threshold) for value in without)
        counted = (found.shown[place], found.right[place], found.wrongly[place])
        assert counted == (len(shown), hits, wrongly)
        plain, at = found.figures(place), figures_at(answers, float(threshold))
        for name in FIGURES:
            assert getattr(plain, name) == pytest.approx(getattr(at, name), nan_ok=True)
        best = max(best, hits - wrongly)
    chosen = figures_at(answers, best_balance(found))
    assert chosen.balance == pytest.approx(50 + 50 * best / len(rows))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 15), texts=st.integers(1, 15))
def test_first_answers_equal_a_plain_look_at_all_scores(seed: int, images: int, texts: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((5, 4))
    base = (base / np.linalg.norm(base, axis=1, keepdims=True)).astype(np.float32)
    pictures, captions = base[rng.integers(0, 5, images)], base[rng.integers(0, 5, texts)]
    count = int(rng.integers(1, images * texts + 1))
    pairs = np.stack([rng.integers(0, images, count), rng.integers(0, texts, count)], axis=1)
    result = recall_at_k(pictures, captions, pairs)
    asked = np.flatnonzero(result.t2i.ranks)
    found = nearest(pictures, captions, pairs, 10).t2i
    answers = first_answers(result.t2i, found, asked, np.arange(len(asked)))
    exact = on_grid(captions) @ on_grid(pictures).T / GRID**2
    for place, text in enumerate(asked):
        correct = {int(image) for image, owner in pairs if owner == text}
        own = [exact[text, image] for image in correct]
        others = [exact[text, image] for image in range(images) if image not in correct]
        assert answers.right[place] == (max(own) > max(others, default=-2.0))
        assert answers.top[place] == np.float32(max(own + others))
        if others:
            assert answers.without[place] == np.float32(max(others))
        else:
            assert answers.without[place] == -np.inf


def test_halves_keep_groups_together_whatever_the_order() -> None:
    groups = np.repeat(np.arange(30), 3)
    ids = [f"猫 {group}#{number}" for group in range(30) for number in range(3)]
    half = halves_of_groups(groups, ids)
    assert sorted(np.bincount(half).tolist()) == [45, 45]
    assert all(len(set(half[groups == group].tolist())) == 1 for group in range(30))
    order = np.random.default_rng(0).permutation(90)
    again = halves_of_groups(groups[order] + 7, [ids[place] for place in order])
    assert again.tolist() == half[order].tolist()


def test_each_half_is_judged_by_what_the_other_half_chose() -> None:
    ids = [f"文{number}" for number in range(40)]
    half = halves_of_groups(np.arange(40), ids)
    top = np.where(half == 0, 0.9, 0.5)  # first half: right at 0.9, without 0.8; second: 0.5 and 0.4
    without = np.where(half == 0, 0.8, 0.4)
    answers = Answers(top, np.ones(40, dtype=bool), without, np.arange(40))
    found = operate(answers, best_balance, ids, Draws(0, 0))
    assert found is not None
    assert found.chosen_by_halves == pytest.approx((0.85, 0.45))
    assert found.figures.recall == 50  # the first half is shown at 0.45, the second not at 0.85
    assert found.figures.rejection == 50  # without its pictures the first half is shown at 0.45, too
    assert not found.useful
    assert found.intervals == {}
    in_sample = figures_at(answers, found.threshold)
    assert in_sample.balance > found.figures.balance


def test_intervals_hold_the_figures_and_groups_are_drawn_together() -> None:
    answers = six(20)
    found = intervals_at(answers, 0.55, Draws(500, 3))
    for name in FIGURES:
        value = found[name]
        assert value.low < value.value < value.high
        assert value.value == pytest.approx(getattr(figures_at(answers, 0.55), name))
    together = Answers(answers.top, answers.right, answers.without, np.arange(120) // 6)  # all groups alike
    alike = intervals_at(together, 0.55, Draws(500, 3))
    assert alike["recall"].low == pytest.approx(alike["recall"].high)
    assert intervals_at(answers, 0.55, Draws(500, 3)) == found


def test_best_wrong_scores_of_the_whole_gallery_are_those_of_the_neighbours() -> None:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((400, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    pictures, captions = rows[:300], rows[300:]
    pairs = np.stack([np.arange(100), np.arange(100)], axis=1)
    asked = np.arange(0, 100, 2)
    found = find_by_size(pictures, captions, pairs, asked, threshold=0.7, seed=1)
    wrong = nearest(pictures, captions, pairs, 1).t2i.wrong_scores[asked]
    assert found.sizes == (37, 75, 150, 300)
    assert found.captions == 50
    assert found.medians[-1] == pytest.approx(float(np.median(wrong)), abs=1e-6)
    assert found.rejections[-1] == pytest.approx(100 * np.mean(wrong < 0.7))
    assert list(found.medians) == sorted(found.medians)
    assert list(found.rejections) == sorted(found.rejections, reverse=True)
    order = np.random.default_rng([1, 300]).permutation(300)[:37]
    part = captions[asked] @ pictures[order].T
    part[(order[None, :] == asked[:, None])] = -np.inf
    assert found.medians[0] == pytest.approx(float(np.median(part.max(axis=1))), abs=1e-6)


def test_growth_per_doubling_by_hand() -> None:
    assert BySize(9, (25, 50, 100, 200, 400), (0.1, 0.2, 0.25, 0.3, 0.35), ()).per_doubling == pytest.approx(
        0.05
    )
    assert np.isnan(BySize(9, (25,), (0.1,), ()).per_doubling)
