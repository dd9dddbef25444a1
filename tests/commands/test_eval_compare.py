"""`cnclip eval compare` and `cnclip eval leaderboard` on runs that were measured before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnclip.artifacts import write_json
from cnclip.commands.eval_compare import compare, leaderboard, run_compare
from cnclip.errors import RecipeError, SourceError
from cnclip.evaluation.per_picture import PictureRanks, save_pictures
from cnclip.evaluation.per_query import both_directions, save_queries
from cnclip.evaluation.report import retrieval_json
from cnclip.evaluation.retrieval import recall_at_k
from cnclip.evaluation.uncertainty import Draws, query_intervals


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def run(folder: Path, *, noise: float, data: str = "f1", images: int = 40) -> Path:
    """A run of a model whose captions lie near their pictures, farther with more noise."""
    rng = np.random.default_rng(3)
    rows = unit(rng.normal(size=(images, 16)))
    texts = unit(rows + noise * rng.normal(size=rows.shape))
    positives = np.repeat(np.arange(images)[:, None], 2, axis=1)
    result = recall_at_k(rows, texts, positives)
    ids = [f"图{number}" for number in range(images)]
    queries = both_directions(result, positives, image_ids=ids, text_ids=[f"句{one}" for one in ids])
    spans = {way: query_intervals(found, [1, 5, 10], Draws(50)) for way, found in queries.items()}
    facts = {
        "checkpoint": {"name": f"models/{folder.name}"},
        "data": {"path": f"stores/{data}", "fingerprint": data},
    }
    write_json(folder / "results.json", retrieval_json(result, pairs=images, run=facts, intervals=spans))
    save_queries(folder / "per_query.npz", queries)
    return folder


def zeroshot(top1: float, name: str) -> dict[str, Any]:
    return {
        "success": True,
        "top1": top1,
        "top5": 90.0,
        "mean_per_class": top1,
        "images": 10,
        "classes": [{"name": "猫"}],
        "run": {"checkpoint": {"name": name}, "data": {"path": "图/测试", "fingerprint": None}},
    }


def classified_run(folder: Path, *, right: int, other: int = 0) -> Path:
    """A zero-shot run on 40 pictures of 8 classes, the first `right` of them right; `other` labels differ."""
    ranks = np.where(np.arange(40) < right, 1, 3)
    labels = (np.arange(40) + (np.arange(40) < other)) % 8
    content = zeroshot(30.0, folder.name) | {"metric": {"name": "accuracy", "value": 30.0}}
    content["intervals"] = {"top1": [28.0, 32.0]}
    write_json(folder / "results.json", content)
    save_pictures(folder / "per_picture.npz", PictureRanks([f"图{i}" for i in range(40)], ranks, labels, 8))
    return folder


def test_two_runs_stand_side_by_side_and_the_better_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(run(tmp_path / "旧", noise=1.5)), str(run(tmp_path / "新", noise=0.3))]
    assert run_compare([*words, "--output", str(tmp_path / "对比"), "--bootstrap", "200"]) == 0
    shown = capsys.readouterr().out
    assert "新 好于 is better than 旧" in shown and "McNemar" in shown
    content = json.loads((tmp_path / "对比" / "comparison.json").read_text(encoding="utf-8"))
    assert set(content["runs"]) == {"旧", "新"} and content["comparisons"][0]["differs"] is True
    for name in ("report.md", "report.html"):
        assert "新 好于" in (tmp_path / "对比" / name).read_text(encoding="utf-8")
    assert (tmp_path / "对比" / "report.tex").read_text(encoding="utf-8").count(r"\\") == 2


def test_runs_on_different_data_are_shown_but_not_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [run(tmp_path / "a", noise=1), run(tmp_path / "b", noise=1, data="f2")]
    assert compare(folders) == 0
    shown = capsys.readouterr().out
    assert "not comparable" in shown and "McNemar" not in shown


def test_of_runs_on_several_data_those_on_the_same_are_tested_and_the_others_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        run(tmp_path / "一", noise=1.5),
        run(tmp_path / "别的", noise=1, data="f2", images=30),
        run(tmp_path / "二", noise=0.3),
    ]
    assert compare(folders, output=tmp_path / "对比", bootstrap=200) == 0
    shown = capsys.readouterr().out
    assert "二 好于 is better than 一" in shown
    assert "40 条文本 texts" in shown and "30 条文本 texts" in shown  # a table, with its chance, for each
    assert shown.count("随机 chance") == 4
    assert "别的" in next(line for line in shown.splitlines() if "left out of the tests" in line)
    content = json.loads((tmp_path / "对比" / "comparison.json").read_text(encoding="utf-8"))
    assert {(one["first"], one["second"]) for one in content["comparisons"]} == {("一", "二")}
    page = (tmp_path / "对比" / "report.md").read_text(encoding="utf-8")
    assert "stores/f1" in page and "stores/f2" in page and "left out of the tests" in page


def test_one_run_without_ranks_does_not_keep_the_others_from_being_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [run(tmp_path / name, noise=noise) for name, noise in (("a", 1), ("b", 1), ("c", 0.2))]
    (folders[1] / "per_query.npz").unlink()
    assert compare(folders, bootstrap=200) == 0
    shown = capsys.readouterr().out
    assert "no per_query.npz, so no test was made: b" in shown and "c 好于 is better than a" in shown


def test_runs_whose_ranks_are_gone_are_shown_but_not_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [run(tmp_path / "a", noise=1), run(tmp_path / "b", noise=1)]
    (folders[1] / "per_query.npz").unlink()
    assert compare(folders) == 0
    assert "no per_query.npz, so no test was made: b" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    first = run(tmp_path / "a", noise=1)
    with pytest.raises(RecipeError, match="nothing to compare"):
        compare([first])
    with pytest.raises(RecipeError, match="stands twice"):
        compare([first, tmp_path / "." / "a"])
    with pytest.raises(SourceError, match=r"no results\.json"):
        compare([first, tmp_path / "leer"])
    write_json(tmp_path / "z" / "results.json", zeroshot(50, "m"))
    with pytest.raises(SourceError, match="not the results of a retrieval or zero-shot run"):
        compare([first, tmp_path / "z"])
    classified = classified_run(tmp_path / "zs", right=3)
    with pytest.raises(SourceError, match="no number in common: zs are zero-shot"):
        compare([first, classified])
    fewer = run(tmp_path / "c", noise=1, images=30)
    with pytest.raises(SourceError, match="not asked the same queries"):
        compare([first, fewer])


def test_zero_shot_runs_are_compared_picture_by_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [classified_run(tmp_path / "短", right=12), classified_run(tmp_path / "长", right=30)]
    assert run_compare([*map(str, folders), "--output", str(tmp_path / "对比"), "--bootstrap", "200"]) == 0
    shown = capsys.readouterr().out
    assert "30.0 [28.0, 32.0]" in shown
    assert "top-1：长 好于 is better than 短 (+45.00" in shown and "前者" not in shown
    assert "McNemar p = 7.63e-06（只有 短 对 only 短 right: 0，只有 长 对 only 长 right: 18）" in shown
    content = json.loads((tmp_path / "对比" / "comparison.json").read_text(encoding="utf-8"))
    assert [one["metric"] for one in content["comparisons"]] == ["top1", "top5"]
    assert content["comparisons"][0]["differs"] is True and content["comparisons"][1]["differs"] is False
    assert "长 好于" in (tmp_path / "对比" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "对比" / "report.tex").exists()
    with pytest.raises(SourceError, match="4 of 40 pictures have another class"):
        compare([folders[0], classified_run(tmp_path / "别的", right=3, other=4)])


def test_a_leaderboard_has_a_table_for_each_data_best_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "x" / "schlecht", noise=2)
    run(tmp_path / "y" / "gut", noise=0.2)
    run(tmp_path / "anders", noise=1, data="f2")
    write_json(tmp_path / "z1" / "results.json", zeroshot(40, "a"))
    write_json(tmp_path / "z2" / "results.json", {"stage": {"zeroshot": zeroshot(60, "b")}})
    (tmp_path / "kaputt").mkdir()
    (tmp_path / "kaputt" / "results.json").write_text("{")
    assert leaderboard(tmp_path) == 0
    shown = capsys.readouterr().out
    assert shown.index("models/gut") < shown.index("models/schlecht")
    assert "kaputt/results.json" in shown
    content = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))
    groups = {
        (group["kind"], group["data"][0]): [entry["model"] for entry in group["entries"]]
        for group in content["groups"]
    }
    assert groups == {
        ("retrieval", "stores/f1"): ["models/gut", "models/schlecht"],
        ("retrieval", "stores/f2"): ["models/anders"],
        ("zeroshot", "图/测试"): ["b", "a"],
    }
    for name in ("leaderboard.md", "leaderboard.html"):
        assert "models/gut" in (tmp_path / name).read_text(encoding="utf-8")
    before = (tmp_path / "leaderboard.json").read_bytes()
    assert leaderboard(tmp_path, output=tmp_path / "anderswo") == 0
    assert (tmp_path / "anderswo" / "leaderboard.json").read_bytes() == before


def test_zero_shot_runs_are_ranked_by_their_own_metric_and_each_metric_for_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, top1, auc in (("a", 40, 71.5), ("b", 60, 55.0)):
        content = zeroshot(top1, name) | {"metric": {"name": "roc_auc", "value": auc}}
        write_json(tmp_path / name / "results.json", content)
    write_json(
        tmp_path / "c" / "results.json",
        zeroshot(99, "c") | {"metric": {"name": "accuracy", "value": 99}},
    )
    assert leaderboard(tmp_path) == 0
    groups = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))["groups"]
    assert [[entry["model"] for entry in group["entries"]] for group in groups] == [["c"], ["a", "b"]]
    shown = capsys.readouterr().out
    assert "roc_auc" in shown and "71.5" in shown


def test_an_empty_folder_is_no_leaderboard(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no results below"):
        leaderboard(tmp_path)
    with pytest.raises(SourceError, match="no such folder"):
        leaderboard(tmp_path / "nirgends")
