"""The curve over shots: repeatable, honest about small classes, and its verdict."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError, UnknownNameError
from cnclip.evaluation.probe.crossing import shots_to_match, verdict
from cnclip.evaluation.probe.curve import ProbeData, draw_curve
from cnclip.evaluation.probe.figure import curve_svg
from cnclip.evaluation.probe.methods import TextTower, method_functions, method_names
from cnclip.evaluation.probe.outcome import Curve
from cnclip.evaluation.probe.report import curve_csv, curve_json, curve_table, write_curve_page
from cnclip.evaluation.probe.task import Answer, FewShotTask, LabelledSet, TextSide

NAMES = ["猫", "狗<b>", "鱼"]


def data(each: int = 12, classes: int = 3) -> ProbeData:
    rng = np.random.default_rng(each)
    centres = np.random.default_rng(1).normal(size=(classes, 16))

    def draw(count: int) -> LabelledSet:
        labels = np.repeat(np.arange(classes), count)
        rows = centres[labels] + 1.5 * rng.normal(size=(len(labels), 16))
        return LabelledSet((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels)

    return ProbeData(draw(each), draw(30), NAMES[:classes])


def text_side(good: float) -> TextSide:
    """A classifier between the true directions (1) and noise (0)."""
    centres = np.random.default_rng(1).normal(size=(3, 16))
    rows = good * centres + (1 - good) * np.random.default_rng(2).normal(size=(3, 16))
    return TextSide((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), 30.0)


def curve_of(shots: list[int | None], *, each: int = 12, good: float = 0.0, seeds: int = 2) -> Curve:
    side = text_side(good)
    names = method_names(["linear", "knn", "prototype", "tip", "tip-f"])
    methods = method_functions(names, TextTower(NAMES, side))
    return draw_curve(data(each), side, methods, shots, range(seeds))


def test_two_draws_of_a_curve_are_equal_but_for_their_seconds() -> None:
    def plain(curve: Curve) -> str:
        return re.sub(r'"seconds": [\d.]+', "", json.dumps(curve_json(curve, counts={}, run={})))

    assert plain(curve_of([1, 4, None])) == plain(curve_of([1, 4, None]))


def test_more_shots_teach_more_and_the_mean_and_spread_are_those_of_the_seeds() -> None:
    curve = curve_of([1, 8], seeds=3)
    first, last = curve.of("linear")
    assert last.mean > first.mean
    top1 = [run.top1 for run in first.runs]
    assert first.mean == pytest.approx(np.mean(top1)) and first.spread == pytest.approx(np.std(top1, ddof=1))
    assert first.correct.mean() == pytest.approx(first.mean)
    assert first.interval.low <= first.mean <= first.interval.high


def test_numbers_of_shots_that_no_class_has_are_skipped_with_a_reason() -> None:
    curve = curve_of([1, 8, 16, 32, None], each=12)  # 12 pictures: 8 to learn from, 4 for validation
    assert [point.shots for point in curve.of("knn")] == [1, 8, None]
    assert {(skipped.method, skipped.shots) for skipped in curve.skipped} >= {("knn", 16), ("tip-f", 32)}
    assert "more than 8" in curve.skipped[0].reason and curve.short == {}


def test_classes_that_are_too_small_give_what_they_have_and_are_counted() -> None:
    both = data(12)
    places = np.flatnonzero((both.pool.labels != 2) | (np.arange(len(both.pool)) >= 33))  # 3 left of class 2
    side = text_side(0)
    methods = method_functions(["prototype"], TextTower(NAMES, side))
    curve = draw_curve(ProbeData(both.pool.take(places), both.test, NAMES), side, methods, [1, 4], [0])
    assert curve.short == {4: 1}
    assert "1 classes have fewer than 4" in curve_table(curve).note


def test_a_method_that_cannot_run_is_skipped_and_the_others_go_on() -> None:
    def broken(task: FewShotTask) -> Answer:
        raise SourceError("名字太长 too long")

    side = text_side(0)
    methods = {**method_functions(["prototype"], TextTower(NAMES, side)), "coop": broken}
    curve = draw_curve(data(), side, methods, [1, 2], [0])
    assert len(curve.points) == 2 and curve.skipped[0].reason == "名字太长 too long"
    assert "coop@1, coop@2: 名字太长" in curve_table(curve).note


def test_a_class_without_any_picture_disturbs_nothing() -> None:
    both, three = data(), text_side(0.4)
    four = TextSide(np.concatenate([three.classifier, -three.classifier[:1]]), three.logit_scale)
    names = method_names(["linear", "knn", "prototype", "tip", "tip-f"])
    methods = method_functions(names, TextTower([*NAMES, "空"], four))
    curve = draw_curve(ProbeData(both.pool, both.test, [*NAMES, "空"]), four, methods, [1, 4], [0])
    plain = draw_curve(both, three, method_functions(names, TextTower(NAMES, three)), [1, 4], [0])
    assert not curve.skipped
    for name in ("linear", "knn", "prototype"):  # these know a class by its pictures only
        assert [point.mean for point in curve.of(name)] == [point.mean for point in plain.of(name)]


def test_an_empty_side_is_an_error() -> None:
    both, side = data(), text_side(0)
    empty = both.pool.take(np.array([], dtype=np.int64))
    with pytest.raises(SourceError, match="learn from"):
        draw_curve(ProbeData(empty, both.test, NAMES), side, {}, [1], [0])


def test_unknown_methods_are_named() -> None:
    with pytest.raises(UnknownNameError, match="svm"):
        method_names(["linear", "svm"])
    assert method_names(["coop", "linear", "linear"]) == ["linear", "coop"]


@pytest.mark.parametrize(
    ("accuracies", "target", "expected"),
    [
        ([10, 20, 40], 5, 1.0),
        ([10, 20, 40], 10, 1.0),
        ([10, 20, 40], 15, 2**0.5),
        ([10, 20, 40], 30, 2 * 2**0.5),
        ([10, 20, 40], 40, 4.0),
        ([10, 20, 40], 41, None),
        ([10, 30, 20], 25, 2**0.75),
    ],
)
def test_the_shots_that_match_are_interpolated_in_the_logarithm(
    accuracies: list[float], target: float, expected: float | None
) -> None:
    found = shots_to_match([1, 2, 4], accuracies, target)
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_verdict_says_whether_and_where_zero_shot_is_passed() -> None:
    assert "零样本 equals or passes zero-shot at 1 shot already" in verdict(curve_of([1, 2]))
    high = curve_of([1, 2, 4, 8], each=24, good=0.75)
    words = verdict(high)
    assert "stays below zero-shot" in words or "passes zero-shot at about" in words
    perfect = curve_of([1], good=1.0)
    assert "stays below zero-shot up to 1 shot" in verdict(perfect)
    assert "not measured" in verdict(perfect, "coop")


def test_the_report_holds_every_number_and_opens_offline(tmp_path: Path) -> None:
    curve = curve_of([1, 2, None], good=0.4)
    write_curve_page(tmp_path / "report.html", "少样本 <x>", curve, lines=["数据 data: a&b"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page and "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert " style=" not in page and "少样本 &lt;x&gt;" in page and "a&amp;b" in page
    for point in curve.points:
        assert f"{point.mean:.1f}±{point.spread:.1f}" in page
    rows = list(csv.DictReader(io.StringIO(curve_csv(curve))))
    assert len(rows) == 1 + 5 * 3 * 2 and {row["shots"] for row in rows} == {"0", "1", "2", "all"}
    assert json.loads(rows[1]["settings"])["C"] > 0
    content = curve_json(curve, counts={"classes": 3}, run={})
    assert json.loads(json.dumps(content))["points"][-1]["shots"] is None
    assert set(content["shots_to_match"]) == {"linear", "knn", "prototype", "tip", "tip-f"}


@pytest.mark.parametrize("shots", [[4], [1, 2, 4, 8], [None], [3, None]])
def test_every_mark_of_the_picture_lies_inside_it(shots: list[int | None]) -> None:
    svg = curve_svg(curve_of(shots, seeds=1))
    spots = re.findall(r'd="M(-?[\d.]+) (-?[\d.]+)', svg)
    assert spots and all(0 <= float(x) <= 760 and 0 <= float(y) <= 440 for x, y in spots)
    assert svg.count("<title>") == 2 + 5 * len(shots)
