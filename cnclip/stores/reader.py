"""Reads a finished store: by index, by id, by pair; from any process, thread or worker."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnclip.artifacts import verify_dir
from cnclip.errors import ArtifactError, StoreError
from cnclip.stores import environments
from cnclip.stores.layout import (
    IMAGE,
    IMAGE_ID,
    PAIR_DTYPE,
    PAIR_IMAGES_NAME,
    PAIR_TEXTS_NAME,
    REBUILD,
    TEXT,
    TEXT_ID,
    decode_payload,
    decode_pointer,
    decode_row,
    id_key,
    open_header,
    row_key,
    without_payload,
)
from cnclip.stores.raw.rows import RawPair, shown


@dataclass(frozen=True)
class StoredImage:
    """A picture: encoded bytes as they came, and the source's row that brought it."""

    image_id: str
    image: bytes
    where: str


@dataclass(frozen=True)
class StoredText:
    """A caption and the pictures it belongs to; none = an unlabelled query."""

    text_id: str
    caption: str
    image_ids: tuple[str, ...]
    where: str


class StoreReader:
    """A finished store.

    Sizes are checked here, files are opened at the first read, and every record is checked when it is read. A
    reader may be pickled, forked, and shared by threads; readers of the same store share its open files.

    Args:
        path: the store's folder.

    Raises:
        StoreError: no store, an unfinished or damaged one, a newer format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.header = open_header(self.path)
        self._first_keys = [bytes.fromhex(shard.first_key) for shard in self.header.shards]
        self._files: dict[int, environments.SharedFile] = {}

    @property
    def image_count(self) -> int:
        return self.header.images

    @property
    def text_count(self) -> int:
        return self.header.texts

    @property
    def pair_count(self) -> int:
        return self.header.pairs

    @property
    def fingerprint(self) -> str:
        """sha256 of the content: equal for stores that hold the same rows in the same order."""
        return self.header.fingerprint

    def image(self, index: int) -> StoredImage:
        """Picture number `index`.

        Raises:
            IndexError: there is no such number.
            StoreError: its record is damaged; the key is named.
        """
        row, image = self._record(IMAGE, index, self.image_count, decode_payload)
        return StoredImage(row["image_id"], image, row["where"])

    def image_id(self, index: int) -> str:
        """Id of picture number `index`, without its bytes."""
        return str(self._record(IMAGE, index, self.image_count)[0]["image_id"])

    def text(self, index: int) -> StoredText:
        """Caption number `index`.

        Raises:
            IndexError: there is no such number.
            StoreError: its record is damaged; the key is named.
        """
        row = self._record(TEXT, index, self.text_count)[0]
        return StoredText(row["text_id"], row["caption"], tuple(row["image_ids"]), row["where"])

    def pair(self, index: int) -> RawPair:
        """Pair number `index`: pairs come in the order of the captions, then of each caption's pictures."""
        if not 0 <= index < self.pair_count:
            raise IndexError(f"pair {index} of {self.pair_count}")
        image = self.image(int(self.pair_images[index]))
        text = self.text(int(self.pair_texts[index]))
        return RawPair(image.image_id, image.image, text.text_id, text.caption)

    @cached_property
    def pair_images(self) -> npt.NDArray[np.int64]:
        """int64 [pair_count]: the index of each pair's picture; mapped from the file, read-only."""
        return self._pair_file(PAIR_IMAGES_NAME, self.header.pair_images_crc)

    @cached_property
    def pair_texts(self) -> npt.NDArray[np.int64]:
        """int64 [pair_count]: the index of each pair's caption; mapped from the file, read-only."""
        return self._pair_file(PAIR_TEXTS_NAME, self.header.pair_texts_crc)

    def image_index(self, image_id: str) -> int:
        """Number of the picture with this id.

        Raises:
            KeyError: there is none.
        """
        return self._index_of(IMAGE_ID, image_id, self.image_id)

    def text_index(self, text_id: str) -> int:
        """Number of the caption with this id.

        Raises:
            KeyError: there is none.
        """
        return self._index_of(TEXT_ID, text_id, lambda index: self.text(index).text_id)

    def captions(self) -> Iterator[str]:
        """All captions in order."""
        return (self.text(index).caption for index in range(self.text_count))

    def image_ids(self) -> Iterator[str]:
        """Ids of all pictures in order."""
        return (self.image_id(index) for index in range(self.image_count))

    def text_ids(self) -> Iterator[str]:
        """Ids of all captions in order."""
        return (self.text(index).text_id for index in range(self.text_count))

    def verify(self) -> None:
        """Compare every file with its sha256.

        Raises:
            StoreError: the first file that differs.
        """
        try:
            verify_dir(self.path, deep=True)
        except ArtifactError as error:
            raise StoreError(error.what, where=error.where, fix=REBUILD) from None

    def close(self) -> None:
        """Give the files back; a later read opens them again."""
        for file in self._files.values():
            environments.release(file)
        self._files = {}

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the path and the fingerprint: a worker opens its own files, of the same store."""
        return _reopen, (self.path, self.fingerprint)

    def _record(
        self, kind: bytes, index: int, count: int, payload: Callable[[memoryview, int], bytes] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        if not 0 <= index < count:
            raise IndexError(f"{_NAMES[kind]} {index} of {count}")
        key = row_key(kind, index)
        record = self._get(key, without_payload if payload is None else None)
        where = f"{self.path} {_NAMES[kind]} {index}"
        if record is None:
            raise StoreError(f"{_NAMES[kind]} {index} is missing", where=where, fix=REBUILD)
        try:
            row, start = decode_row(key, record)
            return row, b"" if payload is None else payload(record, start)
        except ValueError as error:
            raise StoreError(
                f"the record of {_NAMES[kind]} {index} is damaged: {error}", where=where, fix=REBUILD
            ) from None

    def _index_of(self, kind: bytes, identifier: str, id_at: Callable[[int], str]) -> int:
        key = id_key(kind, identifier)
        record = self._get(key)
        if record is None:
            raise KeyError(identifier)
        try:
            index = decode_pointer(key, record)
        except ValueError as error:
            where = f"{self.path} id {shown(identifier)}"
            raise StoreError(f"the record of an id is damaged: {error}", where=where, fix=REBUILD) from None
        if id_at(index) != identifier:
            raise KeyError(identifier)
        return index

    def _get(self, key: bytes, cut: environments.Cut | None = None) -> memoryview | None:
        place = bisect_right(self._first_keys, key) - 1
        if place < 0:
            return None
        file = self._files.get(place)
        if file is None:
            shard = self.header.shards[place]
            file = self._files[place] = environments.acquire(self.path / shard.name, shard)
        return file.get(key, cut)

    def _pair_file(self, name: str, crc: int) -> npt.NDArray[np.int64]:
        if self.pair_count == 0:
            return np.zeros(0, dtype=np.int64)
        mapped = np.memmap(self.path / name, dtype=PAIR_DTYPE, mode="r")
        if len(mapped) != self.pair_count or zlib.crc32(mapped) != crc:  # type: ignore[arg-type]
            raise StoreError(f"{name} is damaged", where=str(self.path), fix=REBUILD)
        return np.asarray(mapped)


_NAMES = {IMAGE: "picture", TEXT: "caption"}


def _reopen(path: Path, fingerprint: str) -> StoreReader:
    reader = StoreReader(path)
    if reader.fingerprint != fingerprint:
        raise StoreError(
            "the store was replaced while it was in use", where=str(path), fix="start the run again"
        )
    return reader
