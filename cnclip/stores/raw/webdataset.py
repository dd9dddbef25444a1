"""WebDataset shards, as img2dataset writes them: `key.jpg`, `key.txt`, `key.json` after each other in a tar.

Shards are read as streams and never unpacked; the name of a member is a label, never a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cnclip.stores.raw.caption_spool import CaptionSpool
from cnclip.stores.raw.captions import CAPTION_FIELDS, captions_of
from cnclip.stores.raw.encodings import Encoding
from cnclip.stores.raw.parts import Part
from cnclip.stores.raw.remote import RemoteFile
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
from cnclip.stores.raw.samples import Sample, json_of, text_of
from cnclip.stores.raw.shards import find_shards, shard_name
from cnclip.stores.raw.tar_shard import TAR_SUFFIXES, samples_of
from cnclip.stores.raw.walk import told_before

_TEXT_ENDINGS = ("txt", "text", "caption")


class WebDatasetSource:
    """Tar shards of pictures with captions.

    A sample's picture has the sample's key as its id, or `image_id` of its JSON. Its captions are `captions`
    or `texts` of the JSON where that holds a list, else the lines of `key.txt`, else `caption` or `text` of
    the JSON; their ids are `key#1`, `key#2`, …, or `text_id` and `text_ids` of the JSON.

    Args:
        path: a folder of *.tar, one tar, or `shards/{00000..00012}.tar`; also .tar.gz and .tgz; also a URL.
        encoding: of the text members.
        part: take every n-th shard, where there are enough of them; `facts` then has `part`.

    Attributes:
        remote: the shards that lie behind URLs.

    Raises:
        SourceError: no shards, or a named one is missing.
        ResourceError: a URL whose package is not installed.
    """

    def __init__(self, path: Path | str, *, encoding: Encoding = "utf-8", part: Part | None = None) -> None:
        self.root, self._files = find_shards(path, TAR_SUFFIXES)
        self.facts: dict[str, Any] = {"kind": "webdataset", "shards": len(self._files)}
        own = part.of_files(self._files) if part is not None else None
        if own is not None:
            self._files = own
            self.facts |= {"part": str(part), "part_by": "files"}
        self.inputs: tuple[Path, ...] = tuple(file for file in self._files if isinstance(file, Path))
        self.remote = tuple(file for file in self._files if isinstance(file, RemoteFile))
        self.counts = {"shards": len(self._files)}
        self.share_read: float | None = 0.0
        self._spool = CaptionSpool()
        self._encoding: Encoding = "utf-8" if encoding == "auto" else encoding

    def images(self, report: Report) -> Iterator[RawImage]:
        """The picture of each sample; what is wrong with the archives is told here."""
        for sample in self._samples(report, pictures=True):
            image_id = ""
            try:
                image_id = self._image_id(sample)
                picture = sample.picture
                if picture is None:
                    raise RowProblem(f"no picture: {shown(sample.key)} has only {', '.join(sample.parts)}")
            except RowProblem as problem:
                report(BadRow(sample.where, image_id or shown(sample.key, 500), str(problem)))
                continue
            yield RawImage(image_id, sample.where, picture)

    def texts(self, report: Report) -> Iterator[RawText]:
        """The captions of each sample that has a picture."""
        for sample in self._samples(told_before, pictures=False):
            try:
                image_id = self._image_id(sample)
            except RowProblem:
                continue  # told when the pictures were read
            if sample.has_picture:
                yield from self._captions(sample, image_id, report)

    def _samples(self, report: Report, *, pictures: bool) -> Iterator[Sample]:
        for number, file in enumerate(self._files):
            self.share_read = number / len(self._files)
            name = shard_name(file, self.root)
            read = partial(samples_of, file, name, pictures=pictures)
            if isinstance(file, Path):
                yield from read(report)
            elif pictures:
                yield from self._spool.kept(name, read, report)
            else:
                yield from self._spool.samples(name) or read(report)

    def _image_id(self, sample: Sample) -> str:
        fields = json_of(sample, self._encoding)
        return clean_id(fields.get("image_id", sample.key), "image_id")

    def _captions(self, sample: Sample, image_id: str, report: Report) -> Iterator[RawText]:
        fields = json_of(sample, self._encoding)
        where, ids = sample.where, (image_id,)
        if any(isinstance(fields.get(name), list) for name in CAPTION_FIELDS):
            yield from captions_of(fields, row_id=sample.key, image_ids=ids, where=where, report=report)
            return
        for ending in _TEXT_ENDINGS:
            if ending in sample.parts:
                yield from self._lines(sample, ending, ids, report)
                return
        if any(fields.get(name) is not None for name in CAPTION_FIELDS):
            row_id = f"{sample.key}#1"
            yield from captions_of(fields, row_id=row_id, image_ids=ids, where=where, report=report)

    def _lines(
        self, sample: Sample, ending: str, image_ids: tuple[str, ...], report: Report
    ) -> Iterator[RawText]:
        try:
            lines = text_of(sample.parts[ending], self._encoding).split("\n")
            clean_id(sample.key, "the key")
        except RowProblem as problem:
            report(BadRow(sample.where, shown(sample.key, 500), str(problem)))
            return
        given = json_of(sample, self._encoding).get("text_id")
        for number, line in enumerate((line.strip() for line in lines if line.strip()), 1):
            text_id = f"{sample.key}#{number}"
            try:
                if given is not None and number == 1:
                    text_id = clean_id(given, "text_id")
                yield RawText(text_id, clean_caption(line, "the line"), image_ids, sample.where)
            except RowProblem as problem:
                report(BadRow(sample.where, text_id, str(problem)))
        if not any(line.strip() for line in lines):
            report(BadRow(sample.where, sample.key, f"empty caption: the .{ending} member has nothing"))


def is_tar(path: Path) -> bool:
    """Whether a file is called like a tar shard."""
    return re.search(r"\.(tar|tar\.gz|tgz)$", path.name.lower()) is not None
