"""What a zero-shot run keeps of each picture, for tests against later runs: `per_picture.npz`.

ids     names
ranks   int64, place of the true class, 1 is best; 0 for pictures that show no class
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnclip.artifacts import atomic_file
from cnclip.errors import SourceError
from cnclip.evaluation.rows import Indices
from cnclip.evaluation.statistics import Difference, paired_difference

FILE_NAME = "per_picture.npz"
KS = (1, 5)


@dataclass(frozen=True)
class PictureRanks:
    """Names of N pictures and int64 [N] ranks."""

    ids: list[str]
    ranks: Indices


def save_pictures(path: Path, pictures: PictureRanks) -> None:
    """Write `per_picture.npz`.

    Raises:
        ResourceError: disk full or no permission.
    """
    names = np.array([name.encode("utf-8", "surrogateescape") for name in pictures.ids], dtype="S")
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, ids=names, ranks=pictures.ranks)


def load_pictures(path: Path) -> PictureRanks:
    """Read `per_picture.npz`.

    Raises:
        SourceError: no such file, or it is not one of these.
    """
    fix = "measure again: cnclip eval zeroshot MODEL DATA CLASSES --output FOLDER"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [name.decode("utf-8", "surrogateescape") for name in arrays["ids"].tolist()]
            return PictureRanks(names, arrays["ranks"])
    except FileNotFoundError:
        raise SourceError("the run has no ranks of its pictures", where=str(path), fix=fix) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"cannot read the ranks: {error}", where=str(path), fix=fix) from None


def hit_differences(first: PictureRanks, second: PictureRanks) -> dict[str, Difference]:
    """Second run minus first in percent, picture by picture: "top1" and "top5".

    Raises:
        SourceError: the runs are of different pictures.
    """
    place = {name: number for number, name in enumerate(first.ids)}
    missing = [name for name in second.ids if name not in place]
    if missing or len(first.ids) != len(second.ids):
        example = f", such as {missing[0]!r}" if missing else ""
        raise SourceError(
            f"the runs are of different pictures: {len(first.ids)} and {len(second.ids)},"
            f" {len(missing)} of them new{example}",
            fix="compare runs on the same pictures",
        )
    order = _places(place, second.ids)
    return {f"top{k}": paired_difference(_hits(first.ranks[order], k), _hits(second.ranks, k)) for k in KS}


def _places(place: dict[str, int], names: Sequence[str]) -> Indices:
    return np.array([place[name] for name in names], dtype=np.int64)


def _hits(ranks: Indices, k: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.where((ranks > 0) & (ranks <= k), 100.0, 0.0)
