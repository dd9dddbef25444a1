"""Pictures with their class: a tree with one folder per class, or a store and a label file.

Folders sort by their number when all their names are numbers (0, 1, 2, 10), otherwise by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.class_metrics import Marks
from cnclip.evaluation.classes import ClassNames, has_label_sets, read_label_sets, read_labels
from cnclip.evaluation.embed import ImageSource
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.shared_embed import SomeImages
from cnclip.stores.layout import HEADER_NAME
from cnclip.stores.raw.files import PICTURE_SUFFIXES
from cnclip.stores.reader import StoreReader


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
        ignored: files left out because their name does not end like a picture's.
    """

    def __init__(self, root: Path) -> None:
        """List the tree.

        Raises:
            SourceError: no such folder, no class folders, or one without pictures.
        """
        if not root.is_dir():
            raise SourceError(f"no such folder: {root}", fix="give a folder with one sub-folder per class")
        self.folders = _sorted_folders(
            [path.name for path in root.iterdir() if _is_visible(path) and path.is_dir()]
        )
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

    def labels(self, classes: ClassNames) -> Indices:
        """Class number of each picture, int64 [image_count].

        Ids, or names, that equal the folders' names decide; otherwise line i belongs to the i-th folder.

        Raises:
            SourceError: folders and lines do not belong together; the message shows both.
        """
        names = classes.names if classes.ids is None else classes.ids
        if set(names) == set(self.folders):
            number = {name: index for index, name in enumerate(names)}
            return np.array([number[folder] for folder in self.folders], dtype=np.int64)[self.folder_of]
        by_position = (
            classes.ids is None and len(names) == len(self.folders) and not set(names) & set(self.folders)
        )
        if not by_position:
            raise _mismatch(classes, names, self.folders)
        return self.folder_of


@dataclass(frozen=True)
class LabelledImages:
    """Pictures to classify.

    Attributes:
        source: the pictures.
        ids: their names, in the source's order.
        indices: int64 [source.image_count] their numbers in the store, or in the tree.
        labels: int64 [source.image_count] class numbers; -1 where a picture may show several classes.
        unlabelled: pictures left out because nothing says what they show.
        fingerprint: of the store or file they come from; None for folders.
        marks: int8 [source.image_count, C] for pictures that may show several classes, else None.
    """

    source: ImageSource
    ids: list[str]
    indices: Indices
    labels: Indices
    unlabelled: int
    fingerprint: str | None
    marks: Marks | None = None

    @cached_property
    def content(self) -> str:
        """Sha256 that stands for these pictures in this order; pictures of folders are read for it."""
        digest = hashlib.sha256()
        if self.fingerprint is None:
            for place in range(self.source.image_count):
                named = self.source.image(place)
                digest.update(f"{named.image_id} {hashlib.sha256(named.image).hexdigest()}\n".encode())
            return digest.hexdigest()
        if self.unlabelled == 0:
            return self.fingerprint
        digest.update(f"{self.fingerprint} {self.indices.tolist()}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class LabelledRows:
    """Embedded pictures to classify.

    Attributes:
        ids: N names.
        rows: float32 [N, D], unit length.
        labels, marks, fingerprint: as in LabelledImages.
    """

    ids: list[str]
    rows: Rows
    labels: Indices
    marks: Marks | None
    fingerprint: str | None


def from_class_folders(root: Path, classes: ClassNames) -> LabelledImages:
    """All pictures of a tree with one folder per class.

    Raises:
        SourceError: no such tree, or its folders and the class names do not belong together.
    """
    if (root / HEADER_NAME).is_file():
        raise SourceError(
            "a store says nothing of classes by itself", where=str(root), fix="--labels FILE.jsonl"
        )
    tree = FolderImages(root)
    return LabelledImages(
        source=tree,
        ids=tree.ids,
        indices=np.arange(tree.image_count),
        labels=tree.labels(classes),
        unlabelled=0,
        fingerprint=None,
    )


def from_labelled_store(store: StoreReader, label_file: Path, classes: ClassNames) -> LabelledImages:
    """The pictures of a store that have a label, in the store's order.

    Args:
        store: where the pictures are.
        label_file: JSONL of image ids and labels, see `classes`.
        classes: what a label may be.

    Raises:
        SourceError: a bad line, or a label for a picture that the store does not hold.
    """
    marks = read_label_sets(label_file, classes) if has_label_sets(label_file) else {}
    labels = dict.fromkeys(marks, -1) if marks else read_labels(label_file, classes)
    ids = list(store.image_ids())
    foreign = sorted(set(labels) - set(ids))
    if foreign:
        raise SourceError(
            f"{len(foreign)} labelled images are not in the store, the first is {foreign[0]!r}",
            where=str(label_file),
            fix=f"take the label file of {store.path}, or remove those lines",
        )
    chosen = [index for index, image_id in enumerate(ids) if image_id in labels]
    places = np.array(chosen, dtype=np.int64)
    return LabelledImages(
        source=SomeImages(store, places),
        ids=[ids[index] for index in chosen],
        indices=places,
        labels=np.array([labels[ids[index]] for index in chosen], dtype=np.int64),
        unlabelled=len(ids) - len(chosen),
        fingerprint=store.fingerprint,
        marks=np.stack([marks[ids[index]] for index in chosen]) if marks else None,
    )


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
