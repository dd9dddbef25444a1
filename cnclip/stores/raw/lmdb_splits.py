"""Which splits a folder of cn_clip's LMDB holds."""

from __future__ import annotations

from pathlib import Path

from cnclip.errors import SourceError

IMAGES, PAIRS, DATA = "imgs", "pairs", "data.mdb"


def lmdb_splits(path: Path) -> list[str]:
    """Splits under `path`, which is a folder of splits or holds one that is called `lmdb`."""
    for folder in (path, path / "lmdb"):
        if folder.is_dir():
            found = sorted(entry.name for entry in folder.iterdir() if is_lmdb_split(entry))
            if found:
                return found
    return []


def is_lmdb_split(path: Path) -> bool:
    """Whether a folder holds one of the two halves of a split."""
    return (path / IMAGES / DATA).is_file() or (path / PAIRS / DATA).is_file()


def find_lmdb_split(path: Path, split: str | None) -> Path:
    """The folder of the split that the user means.

    Raises:
        SourceError: none, or several and none was named.
    """
    if is_lmdb_split(path):
        if split not in (None, path.name):
            raise SourceError(f"no split {split!r}: this is {path.name}", where=str(path), fix="omit --split")
        return path
    splits = lmdb_splits(path)
    if not splits:
        raise SourceError(
            "no imgs/data.mdb and pairs/data.mdb", where=str(path), fix="give the folder lmdb/train"
        )
    if split is None and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        what = "the LMDB holds several splits" if split is None else f"no split {split!r}"
        raise SourceError(what, where=str(path), fix=" or ".join(f"--split {name}" for name in splits))
    return path / split if is_lmdb_split(path / split) else path / "lmdb" / split
