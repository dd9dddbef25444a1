"""What a zero-shot run keeps of each picture, for tests against later runs: `per_picture.npz`.

ids      names
ranks    int64, place of the true class, 1 is best; 0 for pictures that show no class
labels   int64, what stands for the picture's class, or for all of its marks: equal where the truth is equal
classes  int64 [], how many there were to choose from
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnclip.artifacts import atomic_file
from cnclip.errors import SourceError
from cnclip.evaluation.archives import ArchiveWords, read_archive
from cnclip.evaluation.class_metrics import Marks
from cnclip.evaluation.per_query import FILE_NAME as QUERIES_FILE
from cnclip.evaluation.rows import Indices
from cnclip.evaluation.statistics import SAMPLES, Difference, paired_difference

FILE_NAME = "per_picture.npz"
KS = (1, 5)


@dataclass(frozen=True)
class PictureRanks:
    """What a run says of N pictures.

    Attributes:
        ids: N names.
        ranks: int64 [N].
        labels: int64 [N], see `truth`; None where both runs are known to ask for the same.
        classes: how many there were to choose from.
    """

    ids: list[str]
    ranks: Indices
    labels: Indices | None = None
    classes: int = 0


def truth(labels: Indices, marks: Marks | None) -> Indices:
    """One whole number for what each picture shows: its class, or a hash of its marks. int64 [N].

    Args:
        labels: int64 [N], class numbers.
        marks: int8 [N, C] where pictures may show several classes.
    """
    if marks is None:
        return labels
    rows = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in marks)
    return np.array([int.from_bytes(row, "little", signed=True) for row in rows], dtype=np.int64)


def save_pictures(path: Path, pictures: PictureRanks) -> None:
    """Write `per_picture.npz`.

    Raises:
        ResourceError: disk full or no permission.
    """
    names = np.array([name.encode("utf-8", "surrogateescape") for name in pictures.ids], dtype="S")
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        labels = np.empty(0, dtype=np.int64) if pictures.labels is None else pictures.labels
        np.savez_compressed(
            file, ids=names, ranks=pictures.ranks, labels=labels, classes=np.int64(pictures.classes)
        )


def load_pictures(path: Path) -> PictureRanks:
    """Read `per_picture.npz`.

    Raises:
        SourceError: no such file, or it is not one of these.
    """
    fix = "measure again: cnclip eval zeroshot MODEL DATA CLASSES --output FOLDER"
    arrays = read_archive(path, ArchiveWords("the ranks", "the run has no ranks of its pictures", fix))
    try:
        names = [name.decode("utf-8", "surrogateescape") for name in arrays["ids"].tolist()]
        labels = arrays["labels"] if len(arrays["labels"]) else None
        return PictureRanks(names, arrays["ranks"], labels, int(arrays["classes"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"cannot read the ranks: {error}", where=str(path), fix=fix) from None


def load_earlier(folder: Path) -> PictureRanks:
    """The ranks that an earlier zero-shot run left in its folder.

    Raises:
        SourceError: no such folder, a run of another kind, or no ranks in it.
    """
    if not folder.is_dir():
        what = f"a file, not a run's folder: {folder}" if folder.exists() else f"no such folder: {folder}"
        raise SourceError(what, fix="give the --output folder of an earlier eval zeroshot")
    if (folder / QUERIES_FILE).is_file() and not (folder / FILE_NAME).is_file():
        raise SourceError(
            f"{folder} is a retrieval run, not a zero-shot one",
            fix="give the --output folder of an earlier eval zeroshot",
        )
    return load_pictures(folder / FILE_NAME)


def hit_differences(
    first: PictureRanks, second: PictureRanks, *, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Second run minus first in percent, picture by picture: "top1" and "top5".

    Pictures that show no class are left out, as they are of the accuracies.

    Args:
        first, second: runs on the same pictures, in any order of them.
        samples, seed: of the bootstrap.

    Raises:
        SourceError: the runs are of different pictures, or ask different things of them.
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
    _check_question(first, second, order)
    before, after = first.ranks[order], second.ranks
    judged = (before > 0) & (after > 0)
    return {
        f"top{k}": paired_difference(
            _hits(before[judged], k), _hits(after[judged], k), samples=samples, seed=seed
        )
        for k in KS
    }


def _check_question(first: PictureRanks, second: PictureRanks, order: Indices) -> None:
    """Refuse runs whose ranks are among other classes, or of other true classes."""
    if first.labels is None or second.labels is None:
        return
    fix = "compare runs with the same label file, and class files of the same classes in the same order"
    if first.classes != second.classes:
        raise SourceError(
            f"one run chose among {first.classes} classes, the other among {second.classes}", fix=fix
        )
    other = int(np.count_nonzero(first.labels[order] != second.labels))
    if other:
        raise SourceError(f"{other} of {len(order)} pictures have another class in the other run", fix=fix)


def _places(place: dict[str, int], names: Sequence[str]) -> Indices:
    return np.array([place[name] for name in names], dtype=np.int64)


def _hits(ranks: Indices, k: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.where(ranks <= k, 100.0, 0.0)
