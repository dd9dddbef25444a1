"""The files of cn_clip: `{split}_imgs.tsv` (id, base64) and `{split}_texts.jsonl` (id, text, picture ids).

They may be gzip files, or lie in a zip as MUGE is distributed; both are read as they are.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cnclip.stores.raw.cn_clip_splits import find_split
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

# today's names, and those of the first downloads of MUGE
_FIELDS = (("text_id", "text", "image_ids"), ("query_id", "query_text", "item_ids"))
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


class CnClipSource:
    """One split of a folder in cn_clip's format.

    Args:
        path: the folder, a zip of it, or its texts (or images) file.
        split: `train`, `valid`, …; None where the folder has one split or `path` is a file.
        encoding: of both files.

    Raises:
        SourceError: a file is missing, or the split must be named.
    """

    def __init__(self, path: Path, *, split: str | None = None, encoding: Encoding = "utf-8") -> None:
        found = find_split(path, split)
        self.root = found.root
        self._images = LineFile(found.images, root=self.root, encoding=encoding)
        self._texts = LineFile(found.texts, root=self.root, encoding=encoding)
        self.inputs: tuple[Path, ...] = (self._images.path, self._texts.path)
        self.facts = {"kind": "cn_clip", "files": [self._images.name, self._texts.name]}
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


def _fields_of(row: dict[str, Any]) -> tuple[str, str, str]:
    for fields in _FIELDS:
        if all(name in row for name in fields):
            return fields
    missing = [name for name in _FIELDS[0] if name not in row]
    raise RowProblem(f"missing field: {', '.join(missing)}; found {shown(', '.join(row)) or 'none'}")
