"""Pictures with their class: a tree with one folder per class, or a store and a label file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cnclip.errors import SourceError
from cnclip.evaluation.class_folders import FolderImages
from cnclip.evaluation.class_metrics import Marks
from cnclip.evaluation.classes import ClassNames, has_label_sets, read_label_sets, read_labels
from cnclip.evaluation.embed import ImageSource
from cnclip.evaluation.rows import Indices, Rows
from cnclip.evaluation.shared_embed import SomeImages
from cnclip.stores.layout import HEADER_NAME
from cnclip.stores.reader import StoreReader


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
        notes: what a reader should know of how they were taken.
    """

    source: ImageSource
    ids: list[str]
    indices: Indices
    labels: Indices
    unlabelled: int
    fingerprint: str | None
    marks: Marks | None = None
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """The notes, and how many pictures have no label."""
        left_out = f"没有标签、不计入 pictures without a label, left out: {self.unlabelled}"
        return [*self.notes, *([left_out] if self.unlabelled else [])]

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
        notes=tuple(tree.notes(classes)),
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
