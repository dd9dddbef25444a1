"""Published rows are those of the tables, and ours are compared with the right one by hand-worked numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnclip.errors import StoreError, UnknownNameError
from cnclip.evaluation.benchmarks import find_benchmark
from cnclip.evaluation.published import (
    benchmark_json,
    check_counts,
    compare,
    comparison_table,
    find_row,
    own_table,
    verdict,
)
from cnclip.finding import MODELS
from cnclip.stores.reader import StoreReader
from cnclip.tables import text_table

# R@1/R@5/R@10/MR, before and after fine-tuning
MUGE = """
RN50         | 42.6 68.6 77.9 63.0 | 48.6 75.1 84.0 69.2
ViT-B-16     | 52.1 76.7 84.4 71.1 | 58.4 83.6 90.0 77.4
ViT-L-14     | 56.3 79.8 86.2 74.1 | 63.3 85.6 91.3 80.1
ViT-L-14-336 | 59.0 81.4 87.8 76.1 | 65.3 86.7 92.1 81.3
ViT-H-14     | 63.0 84.1 89.2 78.8 | 68.9 88.7 93.1 83.6
"""
MUGE_MEAN_RECALL = {"Wukong": (63.2, 72.1), "R2D2": (69.5, 77.5)}
# R@1/R@5/R@10: text to image before and after, image to text before and after
FLICKR30K = """
RN50         | 48.8 76.0 84.6 | 66.7 89.4 94.1 | 60.0 85.9 92.0 | 84.2 96.7 98.0
ViT-B-16     | 62.7 86.9 92.8 | 79.1 94.8 97.4 | 74.6 93.5 97.1 | 93.5 99.0 99.5
ViT-L-14     | 68.0 89.7 94.4 | 82.7 96.7 98.6 | 80.2 96.6 98.2 | 96.1 99.5 99.9
ViT-L-14-336 | 69.0 90.7 95.4 | 84.4 97.1 98.7 | 83.3 97.2 98.5 | 96.6 99.8 100.0
ViT-H-14     | 71.2 91.4 95.5 | 83.8 96.9 98.6 | 81.6 97.5 98.8 | 95.3 99.7 100.0
Wukong       | 51.7 78.9 86.3 | 77.4 94.5 97.0 | 76.1 94.8 97.5 | 92.7 99.1 99.6
Taiyi        | 60.8 85.0 91.0 |                |                |
R2D2         | 60.9 86.8 92.7 | 84.4 96.7 98.4 | 77.6 96.7 98.9 | 95.6 99.8 100.0
"""
COCO = """
RN50         | 48.1 81.3 90.5 | 66.8 91.1 97.0 | 51.6 81.2 90.5 | 68.4 93.3 97.8
ViT-B-16     | 62.2 86.6 94.9 | 77.0 97.1 99.0 | 57.0 84.1 93.6 | 77.4 96.2 98.9
ViT-L-14     | 64.0 89.2 94.4 | 78.9 96.3 99.0 | 60.4 84.2 92.9 | 80.2 96.7 99.2
ViT-L-14-336 | 64.7 89.6 94.6 | 80.1 96.7 99.2 | 63.4 87.2 94.4 | 81.2 97.2 99.1
ViT-H-14     | 69.2 89.9 96.1 | 81.5 96.9 99.1 | 63.0 86.6 92.9 | 83.5 97.3 99.2
Wukong       | 53.4 80.2 90.1 | 74.0 94.4 98.1 | 55.2 81.0 90.6 | 73.3 94.0 98.0
Taiyi        | 60.0 84.0 93.3 |                |                |
R2D2         | 56.4 85.0 93.1 | 79.1 96.5 98.9 | 63.3 89.3 95.7 | 79.3 97.1 98.7
"""


def test_published_rows_of_muge_are_those_of_the_table() -> None:
    rows = {row.label: row for row in find_benchmark("muge").published}
    for line in MUGE.strip().splitlines():
        model, *sides = [part.strip() for part in line.split("|")]
        for setting, numbers in zip(("zero-shot", "finetuned"), sides, strict=True):
            row = rows.pop(f"{model} {setting}")
            assert list(row.t2i.values()) == [float(number) for number in numbers.split()]
            assert list(row.t2i) == ["r1", "r5", "r10", "mean_recall"] and not row.i2t
            assert row.source == "results"
    for model, values in MUGE_MEAN_RECALL.items():
        for setting, value in zip(("zero-shot", "finetuned"), values, strict=True):
            assert rows.pop(f"{model} {setting}").t2i == {"mean_recall": value}
    assert not rows


@pytest.mark.parametrize(("name", "table"), [("flickr30k-cn", FLICKR30K), ("coco-cn", COCO)])
def test_published_rows_of_both_ways_are_those_of_the_table(name: str, table: str) -> None:
    rows = {row.label: row for row in find_benchmark(name).published}
    for line in table.strip().splitlines():
        model, *cells = [part.strip() for part in line.split("|")]
        before, after, back_before, back_after = (
            dict(zip(("r1", "r5", "r10"), map(float, cell.split()), strict=False)) for cell in cells
        )
        sides = {"zero-shot": (before, back_before), "finetuned": (after, back_after)}
        for setting, (t2i, i2t) in sides.items():
            if t2i:
                row = rows.pop(f"{model} {setting}")
                assert (row.t2i, row.i2t) == (t2i, i2t)
                assert row.source == ("results" if model in MODELS else "readme")
    assert not rows


@pytest.mark.parametrize("name", ["aic-icc", "emoji", "flickr8k-cn", "wukong-test", "xm3600-zh"])
def test_nothing_is_claimed_where_no_table_is_at_hand(name: str) -> None:
    assert find_benchmark(name).published == ()


@pytest.mark.parametrize(
    ("model", "wanted", "label"),
    [
        ("ViT-B-16", None, "ViT-B-16 zero-shot"),
        ("checkpoints/clip_cn_vit-l-14-336.pt", None, "ViT-L-14-336 zero-shot"),
        ("OFA-Sys/chinese-clip-rn50", None, "RN50 zero-shot"),
        ("checkpoints/finetune_muge", None, None),
        ("runs/ViT-B-16", None, None),  # one's own model in a folder of that name is not the official one
        ("checkpoints/finetune_muge", "vit-b-16 finetuned", "ViT-B-16 finetuned"),
    ],
)
def test_a_model_is_compared_with_its_own_row(model: str, wanted: str | None, label: str | None) -> None:
    row = find_row(find_benchmark("muge"), model, wanted)
    assert (row and row.label) == label


def test_an_unknown_row_lists_the_rows() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_row(find_benchmark("muge"), "ViT-B-16", "ViT-B-16 trained")
    assert caught.value.fix is not None and "R2D2 finetuned" in caught.value.fix
    assert find_row(find_benchmark("emoji"), "ViT-B-16") is None


def results(t2i: tuple[float, ...], i2t: tuple[float, ...]) -> dict:
    names = ("r1", "r5", "r10", "mean_recall")
    both = {"text_to_image": t2i, "image_to_text": i2t}
    found: dict = {way: dict(zip(names, values, strict=True)) for way, values in both.items()}
    found["text_to_image"]["intervals"] = {"r1": [51.0, 53.4]}
    return found


def test_differences_and_the_verdict_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    muge = find_benchmark("muge")
    row = find_row(muge, "ViT-B-16")
    assert row is not None
    ours = results((52.6, 76.7, 83.8, 71.0), (0.0, 0.0, 0.0, 0.0))
    compared = compare(muge, row, ours)
    assert [(one.direction, one.difference, one.within_tolerance) for one in compared] == [
        ("t2i", 0.5, True), ("t2i", 0.0, True), ("t2i", -0.6, False), ("t2i", -0.1, True),
    ]  # fmt: skip
    assert compared[0].interval == (51.0, 53.4) and compared[1].interval is None
    found = benchmark_json(muge, row, compared)
    assert found["within_tolerance"] is False and found["row"] == "ViT-B-16 zero-shot"
    assert "Results.md" in found["source"] and found["comparison"][2]["published"] == 84.4
    shown = text_table(comparison_table(muge, row, compared))
    assert "51.0–53.4" in shown and "-0.60" in shown and shown.count("yes") == 3 and "图搜文" not in shown
    sentence = verdict(muge, row, compared)
    assert "1 of 4" in sentence and "R@10 (t2i) by -0.60" in sentence
    same = compare(muge, row, results((52.1, 76.7, 84.4, 71.1), (0.0,) * 4))
    assert benchmark_json(muge, row, same)["within_tolerance"] is True
    assert "4 of 4" in verdict(muge, row, same)


def test_both_ways_are_compared_where_both_are_published() -> None:
    coco = find_benchmark("coco-cn")
    ours = results((62.2, 86.6, 94.9, 81.2), (57.0, 84.1, 93.6, 78.2))
    row = find_row(coco, "ViT-B-16")
    assert row is not None
    assert [one.direction for one in compare(coco, row, ours)] == ["t2i"] * 3 + ["i2t"] * 3
    taiyi = find_row(coco, "x", "Taiyi zero-shot")
    assert taiyi is not None and len(compare(coco, taiyi, ours)) == 3
    assert benchmark_json(coco, None, [])["within_tolerance"] is None
    assert "Wukong finetuned" in text_table(own_table(coco, ours))


def test_a_store_of_another_size_is_refused(shapes_store: Path) -> None:
    with StoreReader(shapes_store) as reader:
        with pytest.raises(StoreError) as caught:
            check_counts(find_benchmark("muge"), reader)
        check_counts(find_benchmark("wukong-test"), reader)  # nothing is known, so nothing is checked
    text = str(caught.value)
    assert "24 pictures instead of 29806" in text and "48 captions instead of 5008" in text
