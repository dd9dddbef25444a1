"""Which splits in cn_clip's format a folder or a zip holds, and where their two files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.places import Place, zip_members

IMAGES_SUFFIX, TEXTS_SUFFIX = "_imgs.tsv", "_texts.jsonl"
# `_queries` is how the captions of MUGE were first called; .gz is what people make of files this large
_IMAGES_ENDS = (IMAGES_SUFFIX, f"{IMAGES_SUFFIX}.gz")
_TEXTS_ENDS = (TEXTS_SUFFIX, f"{TEXTS_SUFFIX}.gz", "_queries.jsonl", "_queries.jsonl.gz")
_ENDS = {"images": _IMAGES_ENDS, "texts": _TEXTS_ENDS}


@dataclass(frozen=True)
class Split:
    """The two files of a split, whether or not they exist."""

    name: str
    root: Path
    images: Place
    texts: Place


def find_split(path: Path, wanted: str | None) -> Split:
    """The split that the user means.

    Args:
        path: a folder, a zip, or one of the split's two files.
        wanted: its name; None where there is one only, or `path` is one of its files.

    Raises:
        SourceError: none, or several and none was named.
    """
    places = _places(path)
    if path.is_file() and not is_zip(path):
        found = _split_and_part(path.name)
        if found is None:
            raise SourceError(
                f"not a file of cn_clip: its name must end in {TEXTS_SUFFIX}",
                where=str(path),
                fix=f"rename it to train{TEXTS_SUFFIX}, beside train{IMAGES_SUFFIX}",
            )
        return _split(found[0], path.parent, places)
    splits = splits_of(path)
    if not splits:
        raise SourceError(
            f"no *{TEXTS_SUFFIX} in the folder",
            where=str(path),
            fix="check the path, or give --kind folder or table",
        )
    if wanted is None and len(splits) == 1:
        wanted = splits[0]
    if wanted not in splits:
        what = "the folder holds several splits" if wanted is None else f"no split {wanted!r}"
        raise SourceError(what, where=str(path), fix=" or ".join(f"--split {name}" for name in splits))
    return _split(wanted, path.parent if path.is_file() else path, places)


def splits_of(path: Path) -> list[str]:
    """Names of the splits that a folder or a zip holds, whole or half.

    Raises:
        SourceError: a zip that cannot be read.
    """
    return sorted({found[0] for name in _places(path) if (found := _split_and_part(name)) is not None})


def is_split_file(name: str) -> bool:
    """Whether a file of this name belongs to a split."""
    return _split_and_part(name) is not None


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _places(path: Path) -> Mapping[str, Place]:
    """Name -> place. Splits that a zip keeps in several folders are told apart as `folder/split`."""
    if path.is_dir():
        return {file.name: Place(file) for file in path.iterdir()}
    if not is_zip(path):
        return {file.name: Place(file) for file in path.parent.iterdir()}
    members = [name for name in zip_members(path) if _split_and_part(name.rpartition("/")[2]) is not None]
    folders = {name.rpartition("/")[0] for name in members}
    one = len(folders) == 1
    return {name.rpartition("/")[2] if one else name: Place(path, name) for name in members}


def _split_and_part(name: str) -> tuple[str, str] | None:
    if name.rpartition("/")[2].startswith("."):
        return None
    for part, ends in _ENDS.items():
        for end in ends:
            if name.endswith(end):
                return name.removesuffix(end), part
    return None


def _split(name: str, root: Path, places: Mapping[str, Place]) -> Split:
    def place(ends: tuple[str, ...]) -> Place:
        found = [places[name + end] for end in ends if name + end in places]
        return found[0] if found else Place(root / (name + ends[0]))

    return Split(name, root, place(_IMAGES_ENDS), place(_TEXTS_ENDS))
