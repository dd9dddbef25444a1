"""Captions of remote shards, kept from the pass over the pictures: a shard is fetched once, not twice."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, cast

from cnclip.stores.raw.rows import BadRow, Report
from cnclip.stores.raw.samples import Sample

MAX_BYTES = 2 << 30
_SIZE_BYTES = 4


class CaptionSpool:
    """A temporary file without a name; the system deletes it with the process.

    A shard in which anything was wrong is not kept: it is read again, as it is where there is no spool.

    Args:
        max_bytes: of the file; shards beyond that are read again.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._starts: dict[str, int] = {}  # shard -> place of its first sample
        self._end = 0
        self._writer: object = None

    def kept(
        self, shard: str, samples: Callable[[Report], Iterator[Sample]], report: Report
    ) -> Iterator[Sample]:
        """The samples of a shard, which are noted on the way; only a shard read to its end counts.

        Args:
            shard: its name.
            samples: gives them, and reports what is wrong.
            report: is told of that.
        """
        is_clean = shard not in self._starts
        start = place = self._end
        mine = self._writer = object()

        def tell(bad: BadRow) -> None:
            nonlocal is_clean
            is_clean = False
            report(bad)

        for sample in samples(tell):
            is_clean = is_clean and self._writer is mine  # another pass may have begun
            if is_clean:
                written = self._write(place, _packed(sample))
                place += written
                is_clean = written > 0
            yield sample
        if is_clean and self._writer is mine and self._write(place, b""):
            self._starts[shard] = start
            self._end = place + _SIZE_BYTES

    def samples(self, shard: str) -> Iterator[Sample] | None:
        """The samples of a shard without their pictures; None where it was not kept."""
        start = self._starts.get(shard)
        return None if start is None or self._file is None else self._read(self._file, start)

    def _write(self, place: int, data: bytes) -> int:
        """Bytes written: none where the disk or the limit has no room."""
        if place + len(data) + _SIZE_BYTES > self._max_bytes:
            return 0
        with suppress(OSError):
            if self._file is None:
                self._file = cast(BinaryIO, tempfile.TemporaryFile(prefix="cnclip-captions-"))
            self._file.seek(place)
            self._file.write(len(data).to_bytes(_SIZE_BYTES, "little") + data)
            return len(data) + _SIZE_BYTES
        return 0

    def _read(self, file: BinaryIO, place: int) -> Iterator[Sample]:
        while True:
            file.seek(place)
            size = int.from_bytes(file.read(_SIZE_BYTES), "little")
            if not size:
                return
            place += _SIZE_BYTES + size
            yield _unpacked(file.read(size))


def _packed(sample: Sample) -> bytes:
    parts = {name: data.decode("latin-1") for name, data in sample.parts.items()}
    row = [sample.key, sample.where, sample.has_picture, parts]
    return zlib.compress(json.dumps(row).encode(), 1)


def _unpacked(data: bytes) -> Sample:
    key, where, has_picture, parts = json.loads(zlib.decompress(data))
    plain = {name: text.encode("latin-1") for name, text in parts.items()}
    return Sample(key, where, has_picture=has_picture, parts=plain)
