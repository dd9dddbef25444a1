"""Pictures in a tree with one folder per class, and which line of a class-name file each folder belongs to.

Folders sort by their number when all their names are numbers (0, 1, 2, 10), otherwise by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.classes import ClassNames
from cnclip.evaluation.rows import Indices
from cnclip.stores.raw.files import PICTURE_SUFFIXES

_SHOWN_PAIRS = 3  # of a long list, at either end


@dataclass(frozen=True)
class FolderImage:
    """One picture file of a class folder."""

    image_id: str
    image: bytes


class FolderImages:
    """The pictures of a tree with one folder per class; reads a file when it is asked for.

    Attributes:
        folders: names of the class folders, sorted.
        folder_of: int64 [image_count] number of each picture's folder.
        ignored: files of class folders left out because their name does not end like a picture's.
        outside: pictures that lie in no class folder, and are left out.
    """

    def __init__(self, root: Path) -> None:
        """List the tree.

        Raises:
            SourceError: no such folder, no class folders, or one without pictures.
        """
        if not root.is_dir():
            raise SourceError(f"no such folder: {root}", fix="give a folder with one sub-folder per class")
        entries = [path for path in root.iterdir() if _is_visible(path)]
        self.folders = _sorted_folders([path.name for path in entries if path.is_dir()])
        self.outside = sum(path.suffix.lower() in PICTURE_SUFFIXES for path in entries if path.is_file())
        self.ignored = 0
        self._root = root
        self._files: list[Path] = []
        owners: list[int] = []
        for number, folder in enumerate(self.folders):
            files = sorted(
                path for path in (root / folder).rglob("*") if path.is_file() and _is_visible(path)
            )
            pictures = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
            if not pictures:
                raise SourceError(
                    "a class folder without pictures", where=str(root / folder), fix="fill or remove it"
                )
            self.ignored += len(files) - len(pictures)
            self._files += pictures
            owners += [number] * len(pictures)
        if not self.folders:
            raise SourceError(
                "no class folders", where=str(root), fix="put each class's pictures in its own folder"
            )
        self.folder_of: Indices = np.array(owners, dtype=np.int64)

    @property
    def image_count(self) -> int:
        """Pictures in all folders."""
        return len(self._files)

    def image(self, index: int) -> FolderImage:
        """Read one picture; its id is its path below the tree."""
        path = self._files[index]
        return FolderImage(path.relative_to(self._root).as_posix(), path.read_bytes())

    @property
    def ids(self) -> list[str]:
        """Names of all pictures."""
        return [path.relative_to(self._root).as_posix() for path in self._files]

    def named(self, classes: ClassNames) -> bool:
        """Whether ids or names say to which folder a line belongs; else its place does."""
        return set(classes.names if classes.ids is None else classes.ids) == set(self.folders)

    def labels(self, classes: ClassNames) -> Indices:
        """Class number of each picture, int64 [image_count].

        Ids, or names, that equal the folders' names decide; otherwise line i belongs to the i-th folder.

        Raises:
            SourceError: folders and lines do not belong together; the message shows both.
        """
        names = classes.names if classes.ids is None else classes.ids
        if self.named(classes):
            number = {name: index for index, name in enumerate(names)}
            return np.array([number[folder] for folder in self.folders], dtype=np.int64)[self.folder_of]
        by_position = (
            classes.ids is None and len(names) == len(self.folders) and not set(names) & set(self.folders)
        )
        if not by_position:
            raise _mismatch(classes, names, self.folders)
        return self.folder_of

    def notes(self, classes: ClassNames) -> Iterator[str]:
        """What a reader should know: lines that belong to folders by place only, files that were left out."""
        if not self.named(classes):
            pairs = [f"{folder} = {name}" for folder, name in zip(self.folders, classes.names, strict=True)]
            if len(pairs) > 2 * _SHOWN_PAIRS:
                pairs[_SHOWN_PAIRS:-_SHOWN_PAIRS] = ["…"]
            yield (
                "类名按顺序对应文件夹，请核对 names belong to the sorted folders by order, please check: "
                + ", ".join(pairs)
            )
        if self.outside:
            yield f"{self.outside} 张图片不在类别文件夹里，未用 pictures lie in no class folder, left out"
        if self.ignored:
            yield f"{self.ignored} 个文件的名字不像图片，未用 files are no pictures by their names, left out"


def _sorted_folders(names: list[str]) -> list[str]:
    numbers = all(name.isascii() and name.isdigit() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if numbers else (0, name))


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _mismatch(classes: ClassNames, lines: list[str], folders: list[str]) -> SourceError:
    """An error that shows both lists side by side, and what stands in one of them only."""
    rows = [f"  {line or '-'} | {folder or '-'}" for line, folder in zip_longest(lines, folders)]
    shown = rows[:30] + (["  …"] if len(rows) > 30 else [])
    if set(lines) & set(folders):
        shown.append("  in the file only: " + "、".join(line for line in lines if line not in folders))
        shown.append("  folders only: " + "、".join(folder for folder in folders if folder not in lines))
    return SourceError(
        "\n".join(
            [
                f"{len(lines)} lines and {len(folders)} class folders do not belong together (line | folder)",
                *shown,
            ]
        ),
        where=str(classes.path),
        fix="write one line per class folder: in the folders' order, or `folder<TAB>name`",
    )
