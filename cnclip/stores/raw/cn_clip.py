"""The files of cn_clip: `{split}_imgs.tsv` (id, base64) and `{split}_texts.jsonl` (id, text, picture ids)."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.lines import Encoding, LineFile
from cnclip.stores.raw.rows import (
    BadRow,
    RawImage,
    RawText,
    Report,
    RowProblem,
    clean_caption,
    clean_id,
    clean_ids,
    shown,
)

IMAGES_SUFFIX, TEXTS_SUFFIX = "_imgs.tsv", "_texts.jsonl"
# today's names, and those of the first downloads of MUGE
_FIELDS = (("text_id", "text", "image_ids"), ("query_id", "query_text", "item_ids"))
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


class CnClipSource:
    """One split of a folder in cn_clip's format.

    Args:
        path: the folder, or its texts (or images) file.
        split: `train`, `valid`, …; None where the folder has one split or `path` is a file.
        encoding: of both files.

    Raises:
        SourceError: a file is missing, or the split must be named.
    """

    def __init__(self, path: Path, *, split: str | None = None, encoding: Encoding = "utf-8") -> None:
        folder, prefix = _locate(path, split)
        self.root = folder
        self._images = LineFile(folder / (prefix + IMAGES_SUFFIX), root=folder, encoding=encoding)
        self._texts = LineFile(folder / (prefix + TEXTS_SUFFIX), root=folder, encoding=encoding)
        self.inputs: tuple[Path, ...] = (self._images.path, self._texts.path)
        self.facts = {"kind": "cn_clip", "files": [file.name for file in self.inputs]}
        self._current = self._images

    @property
    def share_read(self) -> float | None:
        return self._current.share_read

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures in the order of the file; base64 in either alphabet, strictly checked."""
        self._current = self._images
        for number, line in self._images.byte_lines(report):
            where, image_id = self._images.where(number), ""
            try:
                name, _, encoded = line.partition(b"\t")
                image_id = clean_id(self._images.decode(name), "image_id")
                columns = line.count(b"\t") + 1
                if columns != 2:
                    raise RowProblem(f"columns: found {columns}, must be 2 (id, TAB, base64)")
                data = decode_base64(encoded)
            except RowProblem as problem:
                report(BadRow(where, image_id, str(problem)))
                continue
            yield RawImage(image_id, where, partial(bytes, data))

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions in the order of the file; an empty list of pictures is an unlabelled query."""
        self._current = self._texts
        for number, row in self._texts.objects(report):
            where, text_id = self._texts.where(number), ""
            try:
                id_field, text_field, images_field = _fields_of(row)
                text_id = clean_id(row[id_field], id_field)
                caption = clean_caption(row[text_field], text_field)
                yield RawText(text_id, caption, clean_ids(row[images_field], images_field), where)
            except RowProblem as problem:
                report(BadRow(where, text_id, str(problem)))


def decode_base64(encoded: bytes) -> bytes:
    """Bytes from the standard or the URL-safe alphabet, with correct padding and nothing else.

    Raises:
        RowProblem: foreign characters, both alphabets at once, wrong padding, nothing.
    """
    if b"-" in encoded or b"_" in encoded:
        if b"+" in encoded or b"/" in encoded:
            raise RowProblem("bad base64: mixes the standard and the URL-safe alphabet")
        encoded = encoded.translate(_TO_STANDARD)
    padding = len(encoded) - len(encoded.rstrip(b"="))
    if len(encoded) % 4 or padding > 2:  # Python 3.11 passes some wrong paddings
        raise RowProblem(
            f"bad base64: {len(encoded)} characters with {padding} of padding, must be fours with 0 to 2"
        )
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error as error:
        raise RowProblem(f"bad base64: {error}") from None
    if not data:
        raise RowProblem("bad base64: no bytes")
    return data


def splits_of(folder: Path) -> list[str]:
    """Names of the splits that a folder holds, whole or half."""
    names = [file.name for file in folder.iterdir()]
    return sorted(
        {
            name.removesuffix(suffix)
            for name in names
            for suffix in (IMAGES_SUFFIX, TEXTS_SUFFIX)
            if name.endswith(suffix) and not name.startswith(".")
        }
    )


def _fields_of(row: dict[str, Any]) -> tuple[str, str, str]:
    for fields in _FIELDS:
        if all(name in row for name in fields):
            return fields
    missing = [name for name in _FIELDS[0] if name not in row]
    raise RowProblem(f"missing field: {', '.join(missing)}; found {shown(', '.join(row)) or 'none'}")


def _locate(path: Path, split: str | None) -> tuple[Path, str]:
    """(folder, split) of what the user named."""
    if not path.is_dir():
        for suffix in (TEXTS_SUFFIX, IMAGES_SUFFIX):
            if path.name.endswith(suffix):
                return path.parent, path.name.removesuffix(suffix)
        raise SourceError(
            f"not a file of cn_clip: its name must end in {TEXTS_SUFFIX}",
            where=str(path),
            fix=f"rename it to train{TEXTS_SUFFIX}, beside train{IMAGES_SUFFIX}",
        )
    splits = splits_of(path)
    if not splits:
        raise SourceError(
            f"no *{TEXTS_SUFFIX} in the folder",
            where=str(path),
            fix="check the path, or give --kind folder or table",
        )
    if split is None and len(splits) == 1:
        return path, splits[0]
    if split not in splits:
        what = "the folder holds several splits" if split is None else f"no split {split!r}"
        raise SourceError(what, where=str(path), fix=" or ".join(f"--split {name}" for name in splits))
    return path, split
