"""Caption files in COCO's form: `{"images": [{id, file_name}], "annotations": [{image_id, id, caption}]}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.files import read_picture
from cnclip.stores.raw.json_stream import JsonFile
from cnclip.stores.raw.picture_roots import PictureRoots
from cnclip.stores.raw.rows import (
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    shown,
)
from cnclip.stores.raw.walk import few_files, the_only_file

IMAGES, ANNOTATIONS = "images", "annotations"
_SAMPLES = 20


class CocoSource:
    """A COCO caption file and its pictures, which lie beside it or under `image_root`.

    Args:
        path: the JSON file (or .json.gz), or a folder that holds one.
        image_root: folder of the pictures; see PictureRoots.

    Raises:
        SourceError: not such a file, or no pictures.
    """

    def __init__(self, path: Path, *, image_root: Path | None = None) -> None:
        file = path if path.is_file() else _one_of(path)
        self.root = file.parent
        self._json = JsonFile(file, file.name)
        self.inputs: tuple[Path, ...] = (file,)
        self.facts = {"kind": "coco", "file": file.name}
        rows = (row for _, row in islice(self._json.items(IMAGES), _SAMPLES))
        samples = (row.get("file_name") for row in rows if isinstance(row, Mapping))
        names = [name for name in samples if isinstance(name, str)]
        self._roots = PictureRoots(file, image_root, names)

    @property
    def share_read(self) -> float | None:
        return self._json.share_read

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures in the order of `images`."""
        for number, row in self._json.items(IMAGES):
            where, image_id = self._where(IMAGES, number), ""
            try:
                image_id = clean_id(_field(row, "id"), "id")
                path = self._roots.find(clean_id(_field(row, "file_name"), "file_name"))
            except RowProblem as problem:
                report(BadRow(where, image_id, str(problem)))
                continue
            yield RawImage(image_id, where, partial(read_picture, path), origin=str(path))

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions in the order of `annotations`; without an `id` their number is the id."""
        for number, row in self._json.items(ANNOTATIONS):
            where, text_id = self._where(ANNOTATIONS, number), ""
            try:
                image_id = clean_id(_field(row, "image_id"), "image_id")
                text_id = clean_id(row.get("id", number), "id")
                caption = clean_caption(_field(row, "caption"), "caption")
            except RowProblem as problem:
                report(BadRow(where, text_id, str(problem)))
                continue
            yield RawText(text_id, caption, (image_id,), where)

    def _where(self, part: str, number: int) -> str:
        return f"{self._json.name}:{part}[{number}]"


def is_coco(file: Path) -> bool:
    """Whether a JSON file has the two lists; only its first items and keys are looked at."""
    has_images = False
    try:
        for key in JsonFile(file, file.name).names():
            if key == ANNOTATIONS:
                first = next(JsonFile(file, file.name).items(ANNOTATIONS), None)
                return first is None or (isinstance(first[1], Mapping) and "caption" in first[1])
            has_images |= key == IMAGES
    except SourceError:
        return has_images  # cut or damaged: told when it is read; no other kind takes its pictures
    return False


def coco_files(folder: Path) -> list[Path]:
    """The COCO caption files of a folder, or of its subfolder `annotations`."""
    for place in (folder, folder / "annotations"):
        if place.is_dir():
            found = [file for file in few_files(place, (".json", ".json.gz")) if is_coco(file)]
            if found:
                return found
    return []


def _one_of(folder: Path) -> Path:
    return the_only_file(
        coco_files(folder),
        folder,
        several="several COCO caption files",
        none="no COCO caption file",
        wanted="the JSON file",
    )


def _field(row: Any, name: str) -> Any:
    if not isinstance(row, Mapping):
        raise RowProblem("wrong type: the item is no object")
    if name not in row:
        raise RowProblem(f"missing field: {name}; found {shown(', '.join(row)) or 'none'}")
    return row[name]
