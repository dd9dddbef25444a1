"""Walks a folder in an order on which all machines agree, without leaving it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.files import PICTURE_SUFFIXES
from cnclip.stores.raw.rows import BadRow, Report, shown

_FEW = 64


def walk(root: Path, report: Report, folder: Path | None = None) -> Iterator[list[Path]]:
    """The files of `root`, then of each subfolder, sorted by NFC name. Hidden ones are passed over.

    Symbolic links are followed to files inside of `root` only; others, and what cannot be read, are reported.

    Args:
        root: without symbolic links.
        folder: where to begin; None = at `root`.
    """
    folder = folder or root
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (nfc(entry.name), entry.name))
    except OSError as error:
        reason = f"cannot read the folder: {os.strerror(error.errno or 0)}"
        report(BadRow(shown(_where(folder, root)), "", reason))
        return
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    yield [
        Path(entry.path)
        for entry in entries
        if (_links_inside(entry, root, report) if entry.is_symlink() else entry.is_file())
    ]
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(root, report, Path(entry.path))


def few_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of a folder that end so, sorted; none where there are over 64, which are a picture's each."""
    found: list[Path] = []
    for entry in os.scandir(folder):
        if entry.name.lower().endswith(suffixes) and not entry.name.startswith(".") and entry.is_file():
            found.append(Path(entry.path))
            if len(found) > _FEW:
                return []
    return sorted(found)


def the_only_file(found: list[Path], folder: Path, *, several: str, none: str, wanted: str) -> Path:
    """The file that was found, where it is one.

    Args:
        found: what was looked for in a folder.
        folder: that folder.
        several: what the error says of more than one.
        none: what it says of none.
        wanted: what the user should then give.

    Raises:
        SourceError: none, or several; names them.
    """
    if len(found) == 1:
        return found[0]
    names = " or ".join(shown(str(file), 500) for file in found) or wanted
    raise SourceError(f"{several if found else none} in the folder", where=str(folder), fix=f"give {names}")


def is_picture(file: Path) -> bool:
    """Whether a file is called like a picture."""
    return file.suffix.lower() in PICTURE_SUFFIXES


def nfc(name: str) -> str:
    """A name with composed characters, as ids have them."""
    return unicodedata.normalize("NFC", name)


def told_before(_: BadRow) -> None:
    """For the second stream of a source: what is wrong was told when the first one was read."""


def _links_inside(entry: os.DirEntry[str], root: Path, report: Report) -> bool:
    """Whether a symbolic link leads to a file of this folder; anything else is reported."""
    try:
        target = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):
        detail = "it leads nowhere"
    else:
        if target.is_relative_to(root) and target.is_file():
            return True
        inside = target.is_relative_to(root)
        detail = "links to folders are not followed" if inside else "it leads out of the folder"
    report(BadRow(shown(_where(Path(entry.path), root)), "", f"symbolic link: {detail}"))
    return False


def _where(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
