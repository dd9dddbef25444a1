"""What is taken out of a zero-shot result, as numbers, tables and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.class_metrics import macro_f1
from cnclip.evaluation.labelled import LabelledRows
from cnclip.evaluation.multilabel import classify_marked
from cnclip.evaluation.prompt_weights import TemplateWeights
from cnclip.evaluation.statistics import paired_difference
from cnclip.evaluation.zeroshot import class_cosines, classify
from cnclip.evaluation.zeroshot_findings import Findings, find, marked_groups, most_confused
from cnclip.evaluation.zeroshot_report import findings_json, marked_json, weights_json
from cnclip.evaluation.zeroshot_tables import (
    findings_tables,
    marked_tables,
    reliability_table,
    weights_tables,
)

NAMES = ["猫", "狗", "鸟"]
ROWS = [[3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 3, 1], [1, 0, 3], [1, 0, 3]]
LABELS = [0, 0, 1, 1, 1, 2]


def unit(rows: object) -> np.ndarray:
    matrix = np.asarray(rows, dtype=np.float64)
    return (matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)).astype(np.float32)


def findings(
    metric: str = "accuracy",
    *,
    rows: object = ROWS,
    classifier: object = np.eye(3),
    labels: list[int] = LABELS,
    names: list[str] = NAMES,
) -> Findings:
    images, weights = unit(rows), unit(classifier)
    data = LabelledRows([f"图{i}" for i in range(len(labels))], images, np.array(labels), None, None)
    result = classify(images, weights, data.labels, names)
    return find(result, class_cosines(images, weights), data, metric, 10.0)  # type: ignore[arg-type]


def test_the_data_sets_own_metric_is_the_value() -> None:
    assert findings("accuracy").value.value == pytest.approx(400 / 6)
    assert findings("mean-per-class").value.value == pytest.approx((50 + 200 / 3 + 100) / 3)
    assert findings("mean-per-class").value == findings().spans["mean_per_class"]
    two = findings(
        "roc_auc", rows=[[3, 1], [1, 3], [2, 1]], classifier=np.eye(2), labels=[0, 1, 1], names=NAMES[:2]
    )
    assert two.value.value == pytest.approx(100)
    assert findings("11point_mAP").value.value < 100
    with pytest.raises(SourceError, match="two classes, not 3"):
        findings("roc_auc")


def test_intervals_stand_around_their_values() -> None:
    found = findings()
    assert list(found.spans) == ["top1", "top5", "mean_per_class", "macro_f1"]
    assert found.spans["macro_f1"].value == pytest.approx(macro_f1(found.result.confusion))
    for span in found.spans.values():
        assert span.low <= span.value <= span.high
    assert found.spans["top1"].value == pytest.approx(found.result.top1)


def test_confusions_are_the_most_frequent_pairs_first() -> None:
    pairs = most_confused(np.array([[1, 2, 0], [2, 5, 1], [0, 0, 9]]))
    assert [pair[:3] for pair in pairs] == [(0, 1, 2), (1, 0, 2), (1, 2, 1)]
    assert [pair.share for pair in pairs] == [pytest.approx(200 / 3), 25, 12.5]
    assert most_confused(np.diag([3, 4])) == []


def test_the_page_shows_the_clearest_mistakes_beside_right_pictures_of_the_wrong_class() -> None:
    found = findings(rows=[[1, 3, 0], [1, 9, 0], [0, 1, 0], [3, 1, 0]], labels=[0, 0, 1, 0])
    ((heading, shown),) = found.groups
    assert heading == "猫 被认作 taken for 狗: 2 (67 %)"
    assert [(each.place, each.correct) for each in shown] == [(1, False), (0, False), (2, True)]
    assert shown[0].score == pytest.approx(9 / np.sqrt(82))


def test_namesakes_are_counted_with_what_they_cost() -> None:
    found = findings(classifier=[[1, 0, 0], [0, 1, 0], [0, 1, 0]], names=["猫", "狗", "狗"])
    # pictures 2 to 5 belong to 狗 and 狗; the last two of them look like neither
    assert found.result.top1 == pytest.approx(100 / 6)
    assert found.namesakes is not None
    assert (found.namesakes.classes, found.namesakes.images) == (2, 4)
    assert found.namesakes.top1_shared == pytest.approx(300 / 6)
    assert findings().namesakes is None
    note = findings_tables(found)[0].note
    assert "同名" in note and "50.0" in note


def test_a_table_says_where_no_temperature_is_right() -> None:
    always_wrong = findings(rows=[[3, 1, 0]] * 8, labels=[2] * 8)
    assert always_wrong.calibration is not None and always_wrong.calibration.at_end
    assert "没有合适的温度" in findings_tables(always_wrong)[-1].note
    mixed = findings(rows=[[3, 1, 0]] * 30, labels=[0, 0, 1] * 10)
    assert "没有合适的温度" not in findings_tables(mixed)[-1].note


def test_one_picture_has_no_calibration() -> None:
    found = findings(rows=[[1, 0, 0]], labels=[0])
    assert found.calibration is None
    assert findings_json(found)["calibration"] is None
    assert [table.title[:4] for table in findings_tables(found)] == ["零样本分", "最难的类"]


def test_tables_have_as_many_cells_as_headers_and_all_classes_when_asked() -> None:
    found = findings()
    for table in findings_tables(found):
        assert all(len(row) == len(table.header) for row in table.rows)
    short, full = (findings_tables(found, most_classes=most)[1] for most in (1, None))
    assert [row[0] for row in short.rows] == ["猫"] and [row[0] for row in full.rows] == ["猫", "狗", "鸟"]
    assert full.rows[1] == ["狗", "3", "66.7", "66.7", "鸟 1"]
    assert found.calibration is not None
    assert sum(int(row[0]) for row in reliability_table(found.calibration.own, "own").rows) == 3


def test_results_json_has_its_documented_fields() -> None:
    value = json.loads(json.dumps(findings_json(findings()), ensure_ascii=False))
    assert list(value) == [
        "success",
        "metric",
        "top1",
        "top5",
        "mean_per_class",
        "macro_f1",
        "intervals",
        "chance",
        "images",
        "empty_classes",
        "classes",
        "confusions",
        "calibration",
        "namesakes",
    ]
    assert value["metric"]["name"] == "accuracy" and value["metric"]["value"] == 66.6667
    assert value["confusions"][0] == {"true": "猫", "predicted": "狗", "images": 1, "share": 50.0}
    assert value["classes"][2] == {"name": "鸟", "images": 1, "top1": 100.0, "precision": 50.0}
    assert set(value["calibration"]["own"]) == {"scale", "ece", "adaptive_ece", "nll", "confidence"}
    assert value["calibration"]["fixed"]["scale"] == 100 and value["calibration"]["own"]["scale"] == 10


def test_multi_label_results_have_average_precisions_and_their_own_pictures() -> None:
    cosines = class_cosines(unit(ROWS), unit(np.eye(3)))
    marks = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 1, 0], [1, -1, 0], [0, 0, 0]], dtype=np.int8)
    found = classify_marked(cosines, marks, NAMES, samples=10)
    value = marked_json(found)
    assert value["metric"]["name"] == "11point_mAP" and value["mean_per_class"] == value["metric"]["value"]
    assert [each["images"] for each in value["classes"]] == [2, 3, 1]
    for table in marked_tables(found):
        assert all(len(row) == len(table.header) for row in table.rows)
    groups = dict(marked_groups(found, cosines, marks))
    shown = groups["误认作 taken for 鸟"]
    assert [each.place for each in shown][:2] == [4, 5] and not any(each.correct for each in shown)


def test_weights_are_reported_with_what_they_changed() -> None:
    learned = TemplateWeights(np.array([0.7, 0.3]), np.array([2.0, 1.0]), 9)
    difference = paired_difference(
        np.repeat([0.0, 100, 0, 0], 6), np.array([0.0] * 6 + [100] * 7 + [0] * 11)
    )  # of 24 pictures one more is right
    (table,) = weights_tables(learned, ["{}", "{}的图"], difference)
    assert table.rows == [["{}", "70.00%", "2.000"], ["{}的图", "30.00%", "1.000"]]
    assert "没有可靠的差别" in table.note and "1.8 / 2" in table.note
    value = weights_json(learned, difference, {"top1": 25.0, "metric": 25.0})
    assert value["difference"]["value"] == 4.1667 and value["difference"]["differs"] is False
    assert value["weights"] == [0.7, 0.3] and value["equal"] == {"top1": 25.0, "metric": 25.0}
