"""The best items of each query, in cn_clip's order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnclip.evaluation.submission import first_items, official_id, write_items


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("block_rows", [1, 3, 7, 1000])
def test_the_order_is_that_of_a_stable_sort_whatever_the_blocks(block_rows: int) -> None:
    """Components of -1, 0, 1 over 2: products are exact, and most of them equal to others."""
    rng = np.random.default_rng(4)
    queries, gallery = np.zeros((9, 16), dtype=np.float32), np.zeros((41, 16), dtype=np.float32)
    for rows in (queries, gallery):
        for row in rows:
            row[rng.choice(16, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    scores = queries @ gallery.T
    expected = [sorted(range(41), key=lambda place: -row[place])[:10] for row in scores]
    assert first_items(queries, gallery, 10, block_rows=block_rows).tolist() == expected


def test_negative_scores_sort_too_and_a_small_gallery_gives_what_it_has() -> None:
    queries = np.array([[-1, 0]], dtype=np.float32)
    gallery = unit(np.array([[1.0, 0], [0.6, 0.8], [0, 1], [-0.6, 0.8]]))
    assert first_items(queries, gallery).tolist() == [[3, 2, 1, 0]]
    assert first_items(queries, gallery, 2).tolist() == [[3, 2]]


def test_numbers_stay_numbers_and_names_stay_names(tmp_path: Path) -> None:
    assert [official_id(name) for name in ("12", "012", "１２", "图", "-1")] == [
        12,
        "012",
        "１２",
        "图",
        "-1",
    ]
    write_items(tmp_path / "p.jsonl", "t2i", ["7", "八"], ["1", "b", "3"], np.array([[2, 1], [0, 2]]))
    assert (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines() == [
        '{"text_id": 7, "image_ids": [3, "b"]}',
        '{"text_id": "\\u516b", "image_ids": [1, 3]}',
    ]
