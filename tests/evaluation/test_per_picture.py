"""Ranks of pictures are kept, and two runs on the same pictures are tested against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.per_picture import PictureRanks, hit_differences, load_pictures, save_pictures


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
    assert found["top1"].interval.value == 50 and found["top5"].interval.value == 25
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
