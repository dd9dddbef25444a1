"""The table of several runs, and the rows for a paper."""

from __future__ import annotations

from typing import Any

from cnclip.evaluation.retrieval_tables import latex_rows, latex_text, metrics_table, shared_metrics


def run(r1: float, **more: Any) -> dict[str, Any]:
    direction = {
        "r1": r1,
        "r5": 80.0,
        "mean_recall": 65.0,
        "median_rank": 2.0,
        "mrr": 61.04,
        "queries": 30,
        "unlabelled": 3,
        "chance": {"r1": 1.0, "r5": 5.0, "mean_recall": 3.0},
        **more,
    }
    return {"text_to_image": direction, "image_to_text": {**direction, "unlabelled": 0, "queries": 20}}


def test_the_table_has_chance_every_run_and_intervals_below_its_numbers() -> None:
    measured = run(50.0, intervals={"r1": [40.0, 60.04], "mrr": [50.0, 70.0]})
    table = metrics_table({"甲": measured, "乙": run(55.0)})
    assert table.header == ["方向 direction", "模型 model", "R@1", "R@5", "MR", "中位名次 median", "MRR"]
    assert [row[1] for row in table.rows] == ["随机 chance", "甲", "  95 %", "乙"] * 2
    assert table.rows[0][2:] == ["1.0", "5.0", "3.0", "-", "-"]
    assert table.rows[1][2:] == ["50.0", "80.0", "65.0", "2.0", "61.0"]
    assert table.rows[2][2:] == ["40.0–60.0", "", "", "", "50.0–70.0"]
    assert "30 条文本 texts, 20 张图片 images" in table.note and "left out: 3 texts, 0 images" in table.note


def test_only_numbers_that_all_runs_have_are_compared_in_the_order_of_k() -> None:
    assert shared_metrics([run(1.0, r20=99.0, r3=2.0)]) == [
        "r1",
        "r3",
        "r5",
        "r20",
        "mean_recall",
        "median_rank",
        "mrr",
    ]
    assert "r20" not in shared_metrics([run(1.0, r20=99.0), run(1.0)])


def test_a_latex_row_holds_both_directions_and_escapes_names() -> None:
    lines = latex_rows({"模型_1 & 50%": run(50.0)}).splitlines()
    assert lines[0].startswith("% model & R@1 (t2i) & R@5 (t2i) & MR (t2i) & R@1 (i2t)")
    assert lines[1] == r"模型\_1 \& 50\% & 50.0 & 80.0 & 65.0 & 50.0 & 80.0 & 65.0 \\"
    assert latex_text("[1] b") == "{[}1] b"  # \\\\[1] would be an option of the line break
    assert latex_text("a\\b~{}") == r"a\textbackslash{}b\textasciitilde{}\{\}"
