"""NumPy archives: read, or one error that says what is wrong; never a traceback."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cnclip.errors import SourceError
from cnclip.evaluation.archives import ArchiveWords, archive_names, read_archive
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.labelled_arrays import images_from_array, rows_from_array
from cnclip.evaluation.per_picture import load_pictures
from cnclip.evaluation.per_query import load_queries

WORDS = ArchiveWords("数组", "没有这个文件", "重存")
CLASSES = ClassNames(["猫", "狗"], None, Path("类.txt"))


def read(path: Path) -> dict[str, np.ndarray]:
    return read_archive(path, WORDS)


def test_arrays_come_back_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", 甲=np.arange(3), b=np.array(["猫"]))
    found = read(tmp_path / "a.npz")
    assert found["甲"].tolist() == [0, 1, 2] and found["b"].tolist() == ["猫"]
    assert archive_names(tmp_path / "a.npz", WORDS) == ["甲", "b"]


def test_what_is_no_archive_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="没有这个文件"):
        read(tmp_path / "无.npz")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(SourceError, match=r"one array \(.npy\), not an archive"):
        read(tmp_path / "one.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([None, "猫"], dtype=object))
    with pytest.raises(SourceError, match="cannot read 数组: Object arrays"):
        read(tmp_path / "objects.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_anywhere_is_an_error_of_the_source(tmp_path: Path, save: object) -> None:
    path, rng = tmp_path / "a.npz", np.random.default_rng(1)
    save(path, embeddings=rng.normal(size=(20, 8)), labels=np.zeros(20, int))  # type: ignore[operator]
    whole = path.read_bytes()
    for draw in range(120):
        damaged = bytearray(whole[: rng.integers(len(whole))] if draw % 2 else whole)
        for place in rng.integers(0, max(1, len(damaged)), size=3 if len(damaged) else 0):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        for reader in (lambda: rows_from_array(path, CLASSES), lambda: load_pictures(path)):
            with suppress(SourceError):
                reader()
        with pytest.raises(SourceError):
            load_queries(path)


def test_a_damaged_gzip_is_an_error_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    packed = bytearray(gzip.compress(bytes(range(256)) * 8))
    packed[20:30] = bytes(10)
    path.write_bytes(packed)
    with pytest.raises(SourceError, match="cannot read the file"):
        images_from_array(path, CLASSES)
