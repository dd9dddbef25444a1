"""One sorted sequence of records, cut into LMDB files of a size that suits file systems and copying."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from cnclip.artifacts import flush_to_disk
from cnclip.errors import StoreError
from cnclip.stores.growing import GrowingMap
from cnclip.stores.layout import DATA_NAME, IMAGE, Shard
from cnclip.stores.staging import FRESH

REDO_SUFFIX = ".redo"  # of a file whose records are put into a new one
_PAGE_BYTES = 4096
_INLINE_BYTES = 2000  # a longer record gets pages of its own


class ShardedWriter:
    """Takes records in key order; starts the next file when the current one is full.

    Args:
        folder: the store being built.
        shard_bytes: size that a file should not pass; a single larger record gets a file of its own.
        shard_images: most pictures in a file, or None.

    Attributes:
        uncommitted_bytes: put since the last `commit`.
    """

    def __init__(self, folder: Path, *, shard_bytes: int, shard_images: int | None = None) -> None:
        self.uncommitted_bytes = 0
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._shard_images = shard_images
        self._finished: list[Shard] = []
        self._map: GrowingMap | None = None
        self._first_key = b""
        self._records = self._images = self._bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Append a record; its key must be greater than the last one's."""
        is_image = key[:1] == IMAGE
        cost = _cost(len(key) + len(value))
        if self._map is not None and self._is_full(cost, is_image):
            self._finish()
        if self._map is None:
            self._map = self._new_map()
            self._first_key = key
        self._map.put(key, value, append=True)
        self._records += 1
        self._images += is_image
        self._bytes += cost
        self.uncommitted_bytes += cost

    def commit(self) -> tuple[int, int] | None:
        """Make all that was put hold; (number of the open file, its records), None where none is open."""
        self.uncommitted_bytes = 0
        if self._map is None:
            return None
        self._map.commit()
        return len(self._finished), self._records

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values; true after a `commit`."""
        counts = [self._first_key.hex(), self._records, self._images, self._bytes]
        return {
            "finished": [asdict(shard) for shard in self._finished],
            "open": None if self._map is None else counts,
        }

    def restore(self, state: dict[str, Any], commits: Iterable[int]) -> None:
        """Go on where a `state` was noted; files behind it are removed.

        The open file is made anew from its own records with the same commits, which gives the same bytes as
        if nothing had happened: LMDB itself cannot go back behind a commit.

        Args:
            state: see `state`.
            commits: numbers of records that the open file held at its commits.

        Raises:
            StoreError: a file has lost what was in it.
        """
        self._finished = [Shard(**shard) for shard in state["finished"]]
        for shard in self._finished:
            data = self._folder / shard.name / DATA_NAME
            size = data.stat().st_size if data.is_file() else 0
            if size != shard.bytes:
                raise StoreError(f"{size} bytes, not {shard.bytes}", where=str(data), fix=FRESH)
        kept = {shard.name for shard in self._finished}
        if state["open"] is not None:
            kept |= {self._name(), self._name() + REDO_SUFFIX}
        for folder in self._folder.glob("shard-*"):
            if folder.name not in kept:
                shutil.rmtree(folder)
        if state["open"] is not None:
            first_key, self._records, self._images, self._bytes = state["open"]
            self._first_key = bytes.fromhex(first_key)
            self._redo(list(commits))

    def close(self) -> tuple[Shard, ...]:
        """Finish the last file and describe all of them."""
        self._finish()
        return tuple(self._finished)

    def discard(self) -> None:
        """Let go of the open file; harmless after `close`."""
        if self._map is not None:
            self._map.discard()
            self._map = None

    def _is_full(self, cost: int, is_image: bool) -> bool:
        too_many = is_image and self._shard_images is not None and self._images >= self._shard_images
        return too_many or self._bytes + cost > self._shard_bytes

    def _name(self) -> str:
        return f"shard-{len(self._finished):05d}"

    def _new_map(self) -> GrowingMap:
        folder = self._folder / self._name()
        opened = GrowingMap(folder, commit_bytes=None)
        flush_to_disk(folder)
        flush_to_disk(self._folder)
        return opened

    def _redo(self, commits: list[int]) -> None:
        folder = self._folder / self._name()
        redone = self._folder / (self._name() + REDO_SUFFIX)
        if not (redone / DATA_NAME).exists():  # else an earlier resume was stopped in here
            shutil.rmtree(redone, ignore_errors=True)
            if not (folder / DATA_NAME).exists() or commits[-1:] != [self._records]:
                raise StoreError("the file does not fit the build's notes", where=str(folder), fix=FRESH)
            folder.rename(redone)
        shutil.rmtree(folder, ignore_errors=True)
        self._map = self._new_map()
        done, last = 0, b""
        for end in commits:
            for key, value in _records_after(redone, last, end - done):
                self._map.put(key, value, append=True)
                done, last = done + 1, key
            self._map.commit()
        if done != self._records:
            raise StoreError(f"{done} records, not {self._records}", where=str(redone), fix=FRESH)
        shutil.rmtree(redone)

    def _finish(self) -> None:
        if self._map is None:
            return
        size, name = self._map.close(), self._name()
        self._map = None
        meta_bytes, meta_crc = meta_checksum(self._folder / name / DATA_NAME)
        shard = Shard(name, size, meta_bytes, meta_crc, self._first_key.hex(), self._records, self._images)
        self._finished.append(shard)
        self._records = self._images = self._bytes = 0


def meta_checksum(data: Path, meta_bytes: int | None = None) -> tuple[int, int]:
    """(length, CRC-32) of the two meta pages at the start of an LMDB file.

    Args:
        data: the file.
        meta_bytes: their length; None reads the page size from the file.
    """
    with open(data, "rb") as file:
        if meta_bytes is None:
            # page header 16 bytes, then magic, version, address, map size, and the page size as uint32
            meta_bytes = 2 * int.from_bytes(file.read(44)[40:44], "little")
            file.seek(0)
        return meta_bytes, zlib.crc32(file.read(meta_bytes))


def _records_after(folder: Path, after: bytes, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """The next records behind a key; each call maps the file anew and lets go of the pages that it read."""
    try:
        with lmdb.open(str(folder), readonly=True, lock=False, create=False) as old, old.begin() as reading:
            cursor = reading.cursor()
            found = cursor.set_range(after) if after else cursor.first()
            records = cursor.iternext() if found else iter(())
            yield from islice((item for item in records if item[0] > after), limit)
    except lmdb.Error as error:
        raise StoreError(f"cannot be read: {error}", where=str(folder), fix=FRESH) from None


def _cost(size: int) -> int:
    """Bytes that a record takes in the file: whole pages where it is long, else its share of a page."""
    if size > _INLINE_BYTES:
        return -(-(size + 16) // _PAGE_BYTES) * _PAGE_BYTES + 64
    return size + 24
