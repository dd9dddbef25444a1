"""Ranks of pictures are kept, and two runs on the same pictures are tested against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.per_picture import PictureRanks, hit_differences, load_pictures, save_pictures, truth


def ranks(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_ranks_come_back_under_their_names(tmp_path: Path) -> None:
    path = tmp_path / "per_picture.npz"
    save_pictures(path, PictureRanks(["猫/一.png", "b", "\udcff坏"], ranks(1, 7, 0)))
    found = load_pictures(path)
    assert found.ids == ["猫/一.png", "b", "\udcff坏"] and found.ranks.tolist() == [1, 7, 0]


def test_runs_are_matched_by_name_not_by_order() -> None:
    first = PictureRanks(["a", "b", "c", "d"], ranks(1, 2, 6, 0))
    found = hit_differences(first, PictureRanks(["d", "c", "b", "a"], ranks(0, 1, 1, 1)))
    # of the three pictures that show a class
    assert found["top1"].interval.value == pytest.approx(200 / 3)
    assert found["top5"].interval.value == pytest.approx(100 / 3)
    assert (found["top1"].first_only, found["top1"].second_only) == (0, 2)


def test_equal_runs_do_not_differ() -> None:
    same = PictureRanks(["a", "b"], ranks(1, 3))
    assert not hit_differences(same, same)["top1"].differs


def test_runs_of_other_pictures_are_refused() -> None:
    first = PictureRanks(["a", "b"], ranks(1, 1))
    for other in (PictureRanks(["a", "x"], ranks(1, 1)), PictureRanks(["a"], ranks(1))):
        with pytest.raises(SourceError, match="different pictures"):
            hit_differences(first, other)


def test_files_that_are_no_ranks_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no ranks"):
        load_pictures(tmp_path / "per_picture.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(1))
    (tmp_path / "text.npz").write_text("无", encoding="utf-8")
    for name in ("other", "text"):
        with pytest.raises(SourceError, match="cannot read the ranks"):
            load_pictures(tmp_path / f"{name}.npz")


def test_runs_that_ask_other_things_of_the_same_pictures_are_refused(tmp_path: Path) -> None:
    def run(labels: np.ndarray, classes: int) -> PictureRanks:
        save_pictures(tmp_path / "p.npz", PictureRanks(["a", "b"], ranks(1, 1), labels, classes))
        return load_pictures(tmp_path / "p.npz")

    first = run(ranks(0, 3), 5)
    assert hit_differences(first, PictureRanks(["b", "a"], ranks(1, 2), ranks(3, 0), 5))
    with pytest.raises(SourceError, match="among 5 classes, the other among 4"):
        hit_differences(first, run(ranks(0, 3), 4))
    with pytest.raises(SourceError, match="1 of 2 pictures have another class"):
        hit_differences(first, run(ranks(0, 4), 5))


def test_the_truth_of_marked_pictures_is_equal_where_the_marks_are() -> None:
    marks = np.array([[1, 0, -1], [1, 0, 0], [1, 0, -1]], dtype=np.int8)
    first, second, third = truth(ranks(-1, -1, -1), marks).tolist()
    assert first == third != second
    assert truth(ranks(2, 0), None).tolist() == [2, 0]
