"""The arrays of a store: which rows belong together, in files that are checked block by block.

    pair_images.i64     [pairs]     picture of each pair; pairs go by caption, then by its pictures
    pair_texts.i64      [pairs]     caption of each pair
    caption_groups.i64  [texts]     number of each caption's text: equal captions have equal numbers
    image_starts.i64    [images+1]  the captions of picture i are
    image_texts.i64     [pairs]     image_texts[image_starts[i] : image_starts[i + 1]], in the pairs' order
    arrays.crc                      uint32: CRC-32 of each block of 8 192 values, array after array

All values are little-endian int64. A reader checks a block when it first touches it, so opening a store costs
the same whatever its size.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cnclip.errors import ResourceError, StoreError
from cnclip.stores.layout import (
    ARRAYS_CRC_NAME,
    CAPTION_GROUPS_NAME,
    IMAGE_STARTS_NAME,
    IMAGE_TEXTS_NAME,
    PAIR_DTYPE,
    PAIR_IMAGES_NAME,
    PAIR_TEXTS_NAME,
    REBUILD,
    ArraySeal,
)

Values = npt.NDArray[np.int64]
ARRAY_NAMES = (PAIR_IMAGES_NAME, PAIR_TEXTS_NAME, CAPTION_GROUPS_NAME, IMAGE_STARTS_NAME, IMAGE_TEXTS_NAME)
BLOCK = 8192  # values under one checksum
_BLOCK_BYTES = 8 * BLOCK
_MAPPED_VALUES = 1 << 20  # a file with no more of them is mapped: 8 MB at most
_SORT_VALUES = 1 << 13  # taken at a time by the counting sort
_HELD_VALUES = 1 << 16  # after so many the mapped pages are given back


class CheckedArray:
    """A file of int64 values, opened when it is first read; each block is checked when it is first touched.

    The values of a large file are read, not mapped, so that random reads leave the process's memory as it is.

    Args:
        path: of the file.
        count: of its values.
        crcs: uint32, one for each block.
    """

    def __init__(self, path: Path, count: int, crcs: npt.NDArray[np.uint32]) -> None:
        self.path = path
        self.count = count
        self._crcs = crcs
        self._file: int | None = None
        self._mapped: mmap.mmap | None = None
        self._checked = bytearray(-(-len(crcs) // 8))  # a bit for each block

    def value(self, index: int) -> int:
        """The value at `index`, from 0 to count - 1.

        Raises:
            StoreError: its block is damaged.
        """
        block = index // BLOCK
        if not self._checked[block >> 3] >> (block & 7) & 1:
            self._check(block)
        return int.from_bytes(self._read(8 * index, 8), "little", signed=True)

    def values(self, start: int, end: int) -> Values:
        """int64 [end - start], read-only.

        Raises:
            StoreError: a block of it is damaged.
        """
        if start >= end:
            return np.zeros(0, dtype=np.int64)
        self._check_all(start, end)
        return np.frombuffer(self._read(8 * start, 8 * (end - start)), dtype=PAIR_DTYPE)

    def whole(self) -> Values:
        """int64 [count]: all values, checked; mapped from the file, read-only."""
        if self.count == 0:
            return np.zeros(0, dtype=np.int64)
        self._check_all(0, self.count)
        mapped = self._mapped or mmap.mmap(self._opened(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, dtype=PAIR_DTYPE)

    def pieces(self, size: int = _SORT_VALUES) -> Iterator[Values]:
        """All values in order, `size` at a time."""
        return (self.values(start, min(start + size, self.count)) for start in range(0, self.count, size))

    def _opened(self) -> int:
        """The file's descriptor; it is closed with this object."""
        if self._file is None:
            try:
                file = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    fix = "allow more: ulimit -n 65536"
                    raise ResourceError("too many open files", where=str(self.path), fix=fix) from None
                raise self._damage(f"cannot be read: {os.strerror(error.errno or 0)}") from None
            weakref.finalize(self, os.close, file)
            if os.fstat(file).st_size != 8 * self.count:
                raise self._damage(f"has {os.fstat(file).st_size} bytes, not {8 * self.count}")
            self._file = file
            if 0 < self.count <= _MAPPED_VALUES:
                self._mapped = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
        return self._file

    def _read(self, start: int, size: int) -> bytes:
        if self._mapped is not None:
            return self._mapped[start : start + size]
        try:
            data = os.pread(self._file if self._file is not None else self._opened(), size, start)
        except OSError as error:
            raise self._damage(f"cannot be read: {os.strerror(error.errno or 0)}") from None
        if len(data) != size:
            raise self._damage("ends too early")
        return data

    def _check_all(self, start: int, end: int) -> None:
        for block in range(start // BLOCK, (end - 1) // BLOCK + 1):
            if not self._checked[block >> 3] >> (block & 7) & 1:
                self._check(block)

    def _check(self, block: int) -> None:
        first, end = block * BLOCK, min((block + 1) * BLOCK, self.count)
        if zlib.crc32(self._read(8 * first, 8 * (end - first))) != self._crcs[block]:
            place = f"block {block} (values {first} to {end - 1})"
            raise self._damage(f"is damaged in {place}: its checksum is wrong")
        self._checked[block >> 3] |= 1 << (block & 7)

    def _damage(self, what: str) -> StoreError:
        return StoreError(f"{self.path.name} {what}", where=str(self.path), fix=REBUILD)


def open_arrays(folder: Path, seal: ArraySeal) -> dict[str, CheckedArray]:
    """The arrays of a store by name; only `arrays.crc` is read (4 bytes for each 64 KB of arrays).

    Raises:
        StoreError: `arrays.crc` is missing or damaged, or an array is missing in the header.
    """
    path = folder / ARRAYS_CRC_NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path.name} cannot be read: {os.strerror(error.errno or 0)}", where=str(path), fix=REBUILD
        ) from None
    blocks = [-(-seal.counts.get(name, -1) // BLOCK) for name in ARRAY_NAMES]
    if zlib.crc32(data) != seal.crc or min(blocks) < 0 or len(data) != 4 * sum(blocks):
        raise StoreError(f"{path.name} is damaged", where=str(path), fix=REBUILD)
    ends = np.cumsum(blocks)
    crcs = np.split(np.frombuffer(data, dtype="<u4"), ends[:-1])
    return {
        name: CheckedArray(folder / name, seal.counts[name], own)
        for name, own in zip(ARRAY_NAMES, crcs, strict=True)
    }


def seal_arrays(folder: Path, *, images: int, texts: int, pairs: int) -> ArraySeal:
    """Complete the arrays of a store that is being built; returns what its header keeps of them.

    `pair_images.i64`, `pair_texts.i64` and `caption_groups.i64` are there; this makes the other two, by a
    stable counting sort over mapped files, and `arrays.crc`. Memory does not depend on the counts.

    Args:
        folder: the store being built.
        images, texts, pairs: counts of rows.
    """
    counts = dict(zip(ARRAY_NAMES, (pairs, pairs, texts, images + 1, pairs), strict=True))
    for name in ARRAY_NAMES[:3]:
        assert (folder / name).stat().st_size == 8 * counts[name], name
    _sort_by_image(folder, images, pairs)
    crc = 0
    with open(folder / ARRAYS_CRC_NAME, "wb") as sums:
        for name in ARRAY_NAMES:
            with open(folder / name, "rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    packed = struct.pack("<I", zlib.crc32(block))
                    sums.write(packed)
                    crc = zlib.crc32(packed, crc)
    return ArraySeal(counts, crc)


def _sort_by_image(folder: Path, images: int, pairs: int) -> None:
    """Write `image_starts.i64` and `image_texts.i64`.

    The starts are their own cursors: at first the entry after a picture's holds where its captions begin;
    each caption that is placed moves it on, and in the end it is where the next picture's begin.
    """
    starts = _MappedValues(folder / IMAGE_STARTS_NAME, images + 1, create=True)
    sorted_texts = _MappedValues(folder / IMAGE_TEXTS_NAME, pairs, create=True)
    pair_images = _MappedValues(folder / PAIR_IMAGES_NAME, pairs)
    pair_texts = _MappedValues(folder / PAIR_TEXTS_NAME, pairs)
    for first in range(0, pairs, _SORT_VALUES):
        some, counts = np.unique(pair_images.values[first : first + _SORT_VALUES], return_counts=True)
        starts.values[some + 1] += counts
        if first % _HELD_VALUES == 0:
            starts.let_go()
            pair_images.let_go()
    placed = 0
    for first in range(1, images + 1, _SORT_VALUES):
        piece = starts.values[first : first + _SORT_VALUES]
        ends = placed + np.cumsum(piece)
        placed = int(ends[-1])
        piece[:] = ends - piece
        if (first - 1) % _HELD_VALUES == 0:
            starts.let_go()
    for first in range(0, pairs, _SORT_VALUES):
        of_pairs = pair_images.values[first : first + _SORT_VALUES]
        order = np.argsort(of_pairs, kind="stable")
        some, begins, counts = np.unique(of_pairs[order], return_index=True, return_counts=True)
        places = np.arange(len(order)) + np.repeat(starts.values[some + 1] - begins, counts)
        sorted_texts.values[places] = pair_texts.values[first : first + _SORT_VALUES][order]
        starts.values[some + 1] += counts
        if first % _HELD_VALUES == 0:
            for mapped in (starts, sorted_texts, pair_images, pair_texts):
                mapped.let_go()


class _MappedValues:
    """A file of int64 values, mapped to be read or, with `create`, to be written."""

    def __init__(self, path: Path, count: int, *, create: bool = False) -> None:
        self._mapped: mmap.mmap | None = None
        self.values: Values = np.zeros(0, dtype=np.int64)
        with open(path, "w+b" if create else "rb") as file:
            if create:
                file.truncate(8 * count)
                if count and hasattr(os, "posix_fallocate"):  # a full disk is told here
                    os.posix_fallocate(file.fileno(), 0, 8 * count)
            if count:
                access = mmap.ACCESS_WRITE if create else mmap.ACCESS_READ
                self._mapped = mmap.mmap(file.fileno(), 8 * count, access=access)
                self.values = np.frombuffer(self._mapped, dtype=PAIR_DTYPE)

    def let_go(self) -> None:
        """Leave the pages to the system's cache: the process's memory stays flat."""
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)
