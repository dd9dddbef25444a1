"""One sorted sequence of records, cut into LMDB files of a size that suits file systems and copying."""

from __future__ import annotations

import zlib
from pathlib import Path

from cnclip.stores.growing import GrowingMap
from cnclip.stores.layout import DATA_NAME, IMAGE, Shard

_PAGE_BYTES = 4096
_INLINE_BYTES = 2000  # a longer record gets pages of its own


class ShardedWriter:
    """Takes records in key order; starts the next file when the current one is full.

    Args:
        folder: the store being built.
        shard_bytes: size that a file should not pass; a single larger record gets a file of its own.
        shard_images: most pictures in a file, or None.
    """

    def __init__(self, folder: Path, *, shard_bytes: int, shard_images: int | None = None) -> None:
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
            self._map = GrowingMap(self._folder / self._name())
            self._first_key = key
        self._map.put(key, value, append=True)
        self._records += 1
        self._images += is_image
        self._bytes += cost

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


def _cost(size: int) -> int:
    """Bytes that a record takes in the file: whole pages where it is long, else its share of a page."""
    if size > _INLINE_BYTES:
        return -(-(size + 16) // _PAGE_BYTES) * _PAGE_BYTES + 64
    return size + 24
