"""Finds the pictures that a caption file names, when it does not say in which folder they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cnclip.errors import SourceError
from cnclip.stores.raw.files import PICTURE_SUFFIXES, find_picture
from cnclip.stores.raw.rows import RowProblem, shown

MAX_FOLDERS = 64
_ENDINGS = ("", ".jpg", ".jpeg", ".png", ".webp")


class PictureRoots:
    """Folders that a caption file's pictures may lie in.

    They are the folders of one root: itself and its subfolders. The root is the caption file's own folder
    where that has pictures, else the folder above (COCO keeps `annotations/` beside `train2014/`).

    Args:
        file: the caption file.
        image_root: the root; None = as above.
        samples: some names, of which one must be found.

    Raises:
        SourceError: no picture was found.
    """

    def __init__(self, file: Path, image_root: Path | None, samples: Iterable[str]) -> None:
        names = list(samples)
        parent = file.resolve().parent
        roots = [parent, parent.parent] if image_root is None else [image_root.resolve()]
        for root in roots:
            if not root.is_dir():
                raise SourceError(f"no such folder: {root}", where=str(file), fix="give another --image-root")
            self.root = root
            self._folders = [root, *_subfolders(root)]
            if not names or any(self._has(name) for name in names):
                return
        raise SourceError(
            f"no picture {shown(names[0])} in {' or '.join(str(root) for root in roots)}",
            where=str(file),
            fix="give the folder of the pictures with --image-root",
        )

    def find(self, name: str) -> Path:
        """The file that a row names, with or without its ending.

        Raises:
            RowProblem: no such file, or one outside of the root.
        """
        endings = ("",) if Path(name).suffix.lower() in PICTURE_SUFFIXES else _ENDINGS
        outside: RowProblem | None = None
        for folder in self._folders:
            for ending in endings:
                try:
                    return find_picture(name + ending, folder)
                except RowProblem as problem:
                    if str(problem).startswith("outside"):
                        outside = problem
        raise outside or RowProblem(f"no such picture file: looked in {len(self._folders)} folders")

    def _has(self, name: str) -> bool:
        try:
            return self.find(name).is_file()
        except RowProblem:
            return False


def _subfolders(root: Path) -> list[Path]:
    found = (entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink())
    return sorted(entry for entry in found if not entry.name.startswith("."))[:MAX_FOLDERS]
