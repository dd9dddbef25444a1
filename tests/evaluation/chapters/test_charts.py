"""Axes with round numbers, lines, outlines and bars at the right pixels."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnclip.evaluation.chapters.axes import Axis, linear_ticks, log_ticks, rounded_ends
from cnclip.evaluation.chapters.bar_chart import bars_svg
from cnclip.evaluation.chapters.blocks import Bar, Bars, Curves, Histogram, Words
from cnclip.evaluation.chapters.charts import curves_svg, histogram_svg, swatch
from cnclip.evaluation.chapters.figures import bar_figures, curve_figures, histogram_figures

W = Words("词", "word")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.1, 0.35, [-0.1, 0, 0.1, 0.2, 0.3]),
        (3, 17, [4, 6, 8, 10, 12, 14, 16]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert linear_ticks(low, high) == pytest.approx(ticks)


def test_logarithmic_ticks_are_1_2_5_and_powers_where_there_are_many() -> None:
    assert log_ticks(1, 100) == [1, 2, 5, 10, 20, 50, 100]
    assert log_ticks(1, 1e6) == [10.0**power for power in range(7)]
    assert log_ticks(0.3, 0.4) == [0.3, 0.4], "a narrow axis has its ends"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_ends_hold_all_values_and_differ(values: list[float]) -> None:
    low, high = rounded_ends(values)
    room = 1e-6 * max(1.0, abs(low), abs(high))
    assert low < high and low - room <= min(values) and max(values) <= high + room
    assert 2 <= len(linear_ticks(low, high)) <= 12


def test_values_near_zero_are_drawn_from_zero_and_others_are_not() -> None:
    assert rounded_ends([2.0, 98.0])[0] == 0
    assert rounded_ends([0.61, 0.69]) == pytest.approx((0.6, 0.7))


def test_a_logarithmic_axis_gives_equal_room_to_equal_factors() -> None:
    axis = Axis(1, 100, 0, 200, log=True)
    assert [axis.pixel(value) for value in (1, 10, 100, 1000, 0.1)] == pytest.approx([0, 100, 200, 200, 0])


def points(svg: str, kind: str) -> list[tuple[float, float]]:
    path = re.search(rf'class="{kind}" d="M([^"]+)"', svg)
    assert path is not None
    numbers = [float(number) for number in re.findall(r"[\d.]+", path[1])]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_lines_pass_through_their_points() -> None:
    chart = Curves(
        W, W, W, {"甲": [(1, 0), (10, 50), (100, 100)], "随": [(1, 1), (100, 100)]}, True, baseline="随"
    )
    svg = curves_svg(chart)
    (x1, y1), (x2, y2), (x3, y3) = points(svg, "line")
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2) and y1 - y2 == pytest.approx(y2 - y3, abs=0.2)
    assert (x1, y1) == (46, 294) and (x3, y3) == (546, 22)
    assert len(points(svg, "line base")) == 2 and svg.count('class="dot"') == 3, "chance has no marks"
    assert "甲: 10 → 50" in svg


def test_marks_keep_their_distance_and_the_ninth_line_is_dashed() -> None:
    line = [(float(x), float(x)) for x in range(1, 101)]
    svg = curves_svg(Curves(W, W, W, {str(number): line for number in range(8)}))
    assert svg.count('class="dot"') <= 8 * 15
    assert 'class="s0 again"' in svg and 's0 again"' in swatch(7)


def test_a_chart_without_values_draws_nothing_and_one_value_draws_something() -> None:
    assert curves_svg(Curves(W, W, W, {})) == "" and histogram_svg(Histogram(W, W, [0, 1], [])) == ""
    assert curves_svg(Curves(W, W, W, {"甲": [(1, 5)]}, log_x=True)).count('class="dot"') == 1


def test_outlines_rise_to_their_shares_and_marks_are_numbered() -> None:
    chart = Histogram(W, W, [0, 1, 2], [(W, [25.0, 75.0])], [(0.5, Words("门槛", "threshold"))])
    svg = histogram_svg(chart)
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", svg)]
    floor = float(re.findall(r'outline s0" d="M[\d.]+ ([\d.]+)V', svg)[0])
    assert (floor - heights[1]) == pytest.approx(3 * (floor - heights[0]), abs=0.4)
    assert '<circle cx="171.0"' in svg and ">1</text>" in svg and "门槛 threshold: 0.5" in svg


def test_bars_carry_both_languages_once_each_and_one_where_they_are_equal() -> None:
    chart = Bars(W, W, [Bar(Words("红", "red"), 5, 4, 6, "5"), Bar("甲", -5, -6, -4, "-5", mark=1)], 0)
    svg = bars_svg(chart)
    assert svg.count(">红</text>") == svg.count(">red</text>") == svg.count(">甲</text>") == 1
    assert 'class="zh two" lang="zh-CN"' in svg and 'class="en two" lang="en"' in svg
    assert re.findall(r'<rect class="(\w+)"', svg) == ["better", "worse"]


def test_figures_tell_round_places_of_a_line_all_bins_and_all_bars() -> None:
    line = [(float(k), k / 2) for k in range(1, 101)]
    grid = curve_figures(Curves(W, W, W, {"甲": line, "乙": [(1.0, 3.0)]}, log_x=True))
    assert [row[0] for row in grid.rows] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [row[1:] for row in grid.rows][:2] == [["0.5", "3"], ["1", "-"]]
    many = Histogram(W, W, [n / 50 for n in range(51)], [(W, [2.0] * 50)], [(0.3, W)], W)
    bins = histogram_figures(many)
    assert len(bins.rows) == 10 and {row[1] for row in bins.rows} == {"10.0"}
    assert bins.note is not None and bins.note.zh == "词 0.3。词"
    assert bar_figures(Bars(W, W, [Bar("甲", 5, 4, 6, "5 (30)")])).rows == [["甲", "5", "4–6", "5 (30)"]]


def test_bars_without_samples_have_no_interval() -> None:
    sure, unsure = Bar("甲", 44.9, 44.9, 44.9, "44.9"), Bar("乙", 40.0, 37.5, 42.0, "40.0")
    rows = bar_figures(Bars(Words("条", "Bars"), Words("%", "%"), [sure, unsure])).rows
    assert [row[2] for row in rows] == ["-", "37.5–42"]


def test_what_marks_say_begins_a_sentence() -> None:
    marks = [(0.5, Words("中位数", "median"))]
    shown = [(Words("甲", "A"), [60.0, 40.0])]
    chart = Histogram(Words("图", "Chart"), Words("余弦", "Cosine"), [0.0, 0.5, 1.0], shown, marks)
    note = histogram_figures(chart).note
    assert note is not None and note.en == "Median 0.5"
