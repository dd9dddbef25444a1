"""Tables, sentences, bars and JSON of both suites."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from cnclip.evaluation.perturb.bars import Bar, BarChart, bar_chart_svg, write_bar_page
from cnclip.evaluation.perturb.composition import ALL, Judged, Negative, ProbeResult
from cnclip.evaluation.perturb.composition_report import (
    composition_chart,
    composition_json,
    composition_lines,
    composition_table,
    failure_table,
)
from cnclip.evaluation.perturb.robustness import Example, KindResult
from cnclip.evaluation.perturb.robustness_report import (
    example_table,
    robustness_chart,
    robustness_json,
    robustness_lines,
    robustness_table,
)
from cnclip.evaluation.statistics import Interval
from cnclip.tables import Table

KEYS = ("r1", "r5", "r10", "mean_recall")


def kind(change: float, low: float, high: float, pictures: int = 90) -> KindResult:
    before = dict.fromkeys(KEYS, 50.0)
    return KindResult(
        captions=100,
        pictures=pictures,
        same_tokens=25,
        before=before,
        after={key: value + change for key, value in before.items()},
        change=dict.fromkeys(KEYS, Interval(change, low, high)),
        similarity=0.9,
        examples=[Example("两只<狗>", "2只<狗>\ud800", 1, 9)],
    )


ROBUST = {
    "digits": kind(-5, -7, -3),
    "two": kind(-9, -20, -1, pictures=5),
    "emoji": kind(0, -1, 1),
    "homophone": kind(3, 1, 5),
    "clause-order": KindResult(0),
    "traditional": KindResult(0, skipped="没有安装 OpenCC"),
}


def probe(value: float, low: float, high: float, **others: float) -> ProbeResult:
    failure = Judged(Negative(1, 7, "一只<狗>", "两只<狗>"), 0.2, 0.3)
    return ProbeResult(
        items=40, pictures=30, accuracy=Interval(value, low, high), failures=[failure], **others
    )  # type: ignore[arg-type]


PROBES = {
    "number": probe(80, 70, 90),
    "negation": probe(75, 65, 85, brevity=95.0),
    "up-down": probe(50, 40, 60),
    "left-right": ProbeResult(0),
    ALL: probe(70, 65, 75, doubtful=3),
}


def test_robustness_says_what_is_worse_and_what_cannot_be_told() -> None:
    words = "\n".join(robustness_lines(ROBUST))
    assert "可靠地变差 reliably worse: 两→2 -5.0 [-7.0, -3.0]" in words
    assert "两↔二" not in words  # five pictures prove nothing
    assert "可靠地变好 reliably better: 同音字 homophone" in words
    assert "分句换位" in words and "没有安装 OpenCC" in words


def test_robustness_table_shows_measured_kinds_only() -> None:
    table = robustness_table(ROBUST)
    assert [row[0] for row in table.rows] == ["digits", "two", "emoji", "homophone"]
    assert list(table.rows[0])[3:7] == ["25%", "50.0→45.0", "50.0→45.0", "50.0→45.0"]
    assert list(example_table(ROBUST).rows[0])[1:] == ["两只<狗>", "2只<狗>\ud800", "1→9"]


def test_composition_says_what_is_noticed_and_what_can_be_guessed() -> None:
    lines = composition_lines(PROBES)
    assert lines[0] == "比随机好 better than chance: 换数量 number；增删否定 negation"
    assert lines[1].endswith("from chance: 上↔下 on, under")
    assert lines[2].endswith("without the picture: 增删否定 negation")
    assert lines[3].endswith("左↔右 left, right")
    assert lines[4].startswith("3 题")
    assert [row[0] for row in composition_table(PROBES).rows] == ["number", "negation", "up-down", ALL]
    assert list(failure_table(PROBES, ["a", "b"]).rows[0])[1:4] == ["b", "一只<狗>", "两只<狗>"]


def test_json_holds_every_kind_and_is_plain() -> None:
    robust = json.loads(json.dumps(robustness_json(ROBUST, settings={"seed": 0}, run={})))
    assert robust["kinds"]["digits"]["change"]["r1"] == {"value": -5, "interval": [-7, -3]}
    assert robust["kinds"]["digits"]["verdict"] == "worse"
    assert robust["kinds"]["digits"]["examples"][0]["after"] == "2只<狗>?"
    assert robust["kinds"]["traditional"] == {
        "shown": "繁体 traditional",
        "promise": "same",
        "captions": 0,
        "skipped": "没有安装 OpenCC",
    }
    found = json.loads(json.dumps(composition_json(PROBES, ["a", "b"], settings={}, run={})))
    assert found["kinds"]["number"]["accuracy"] == {"value": 80, "interval": [70, 90]}
    assert found["kinds"]["number"]["failures"][0]["image"] == "b"
    assert found["kinds"]["left-right"]["items"] == 0


def test_bars_grow_from_the_origin_and_are_coloured_by_their_interval() -> None:
    bars = [Bar("差", -5, -6, -4, "-5"), Bar("好", 5, 4, 6, "+5"), Bar("平", 1, -1, 3, "+1", mark=2)]
    bars.append(Bar("少", 9, 9, 9, "+9", trusted=False))
    drawn = bar_chart_svg(BarChart("标题<>", bars, 0, -10, 10))
    boxes = re.findall(r'<rect class="(\w+)" x="([\d.]+)".*?width="([\d.]+)"', drawn)
    assert [box[0] for box in boxes] == ["worse", "better", "unsure", "unsure"]
    assert float(boxes[0][1]) + float(boxes[0][2]) == float(boxes[1][1])
    assert float(boxes[0][2]) == float(boxes[1][2]) > float(boxes[2][2])
    assert drawn.count("<path") == 1 and "标题&lt;&gt;" in drawn


def test_page_escapes_captions_and_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "页.html"
    table = Table("例", ["a"], [["<script>alert(1)</script>"]])
    write_bar_page(path, "题<目>", lines=["行&"], charts=[robustness_chart(ROBUST)], tables=[table])
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and "题&lt;目&gt;" in page and "行&amp;" in page
    assert "<svg" in page and "default-src 'none'" in page and "http" not in page.replace("http-equiv", "")
    assert bar_chart_svg(composition_chart(PROBES)).count("<rect") == 4


def test_no_loss_of_a_model_that_finds_nothing_is_not_called_robust() -> None:
    assert not any("nothing to lose" in line for line in robustness_lines(ROBUST))
    lost = {name: replace(one, chance=30.0) for name, one in ROBUST.items()}
    assert "没有什么可丢" in robustness_lines(lost)[0]
    assert not any("没有什么可丢" in line for line in robustness_lines({"clause-order": KindResult(0)}))


def test_negatives_that_no_model_can_read_are_counted_in_words() -> None:
    lines = composition_lines(PROBES | {"number": probe(80, 70, 90, unread=14)})
    assert any(line.startswith("14 题") and "reads both captions alike" in line for line in lines)
