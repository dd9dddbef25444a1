"""Tables and results.json say what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnclip.evaluation.report import recall_table, retrieval_json, versions, zeroshot_json, zeroshot_tables
from cnclip.evaluation.retrieval import RetrievalResult, recall_at_k
from cnclip.evaluation.zeroshot import ZeroShotResult, classify
from cnclip.tables import Table, markdown_table, text_table


@pytest.fixture
def result() -> RetrievalResult:
    """Two texts for two of three pictures; one text without a picture."""
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], dtype=np.float32)
    return recall_at_k(images, texts, np.array([[0, 0], [0, 1]]))


@pytest.fixture
def accuracies() -> ZeroShotResult:
    rows = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    return classify(rows, np.eye(3, dtype=np.float32), np.array([0, 1, 1, 1]), ["猫", "狗|犬", "鸟"])


def test_the_recall_table_has_chance_and_a_row_for_each_model_and_direction(result: RetrievalResult) -> None:
    table = recall_table({"第一阶段": result, "stage2": result})
    assert [row[1] for row in table.rows] == ["随机 chance", "第一阶段", "stage2"] * 2
    assert table.rows[0][2:] == ["33.3", "100.0", "100.0", "77.8", "-"]
    assert table.rows[1][2:] == ["50.0", "100.0", "100.0", "83.3", "1.5"]
    assert "1 texts, 2 images" in table.note


def test_results_json_has_the_benchmarks_names_in_percent(result: RetrievalResult) -> None:
    value = json.loads(json.dumps(retrieval_json(result, pairs=2, run={"checkpoint": "x"})))
    assert value["success"] is True
    assert value["text_to_image"] == {
        "r1": 50.0,
        "r5": 100.0,
        "r10": 100.0,
        "mean_recall": 83.3333,
        "score": 83.3333,
        "median_rank": 1.5,
        "mean_rank": 1.5,
        "mrr": 75.0,
        "map": 75.0,
        "ndcg10": 81.5465,  # (1 + 1 / log2(3)) / 2
        "queries": 2,
        "unlabelled": 1,
        "gallery": 3,
        "chance": {"r1": 33.3333, "r5": 100.0, "r10": 100.0, "mean_recall": 77.7778},
    }
    assert value["image_to_text"]["unlabelled"] == 2
    assert value["counts"] == {"images": 3, "texts": 3, "pairs": 2}
    assert value["run"] == {"checkpoint": "x"}


def test_zero_shot_results_name_the_hardest_classes_and_what_they_are_taken_for(
    accuracies: ZeroShotResult,
) -> None:
    summary, hardest = zeroshot_tables(accuracies)
    assert summary.rows[1][1:] == ["75.0", "100.0", "83.3"]
    assert hardest.rows == [["狗|犬", "3", "66.7", "猫 1"], ["猫", "1", "100.0", "-"]]
    value = zeroshot_json(accuracies, unlabelled=4, templates=["{}"], run={})
    assert (value["top1"], value["mean_per_class"], value["unlabelled"]) == (75.0, 83.3333, 4)
    assert value["classes"][1] == {"name": "狗|犬", "images": 3, "top1": 66.6667}
    assert value["empty_classes"] == 1


def test_a_terminal_table_lines_up_with_chinese_in_two_columns() -> None:
    shown = text_table(Table("表", ["名称", "R@1"], [["红苹果", "1.5"], ["ab", "100.0"]], "注"))
    assert shown.split("\n") == [
        "表",
        "名称      R@1",
        "------  -----",
        "红苹果    1.5",
        "ab      100.0",
        "注",
    ]


def test_markdown_escapes_what_would_break_a_cell() -> None:
    shown = markdown_table(Table("表", ["a", "b"], [["猫|狗\\", "1"], ["x\ny", "-"]]))
    assert shown.split("\n")[2:] == ["| a | b |", "| --- | --: |", "| 猫\\|狗\\\\ | 1 |", "| x y | - |", ""]


def test_versions_name_what_can_change_a_number() -> None:
    assert set(versions()) == {"cnclip", "python", "torch", "numpy"}
