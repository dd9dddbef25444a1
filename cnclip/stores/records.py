"""The pictures and captions of a store that has them in its own shards."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cnclip.errors import StoreError
from cnclip.stores import environments
from cnclip.stores.layout import (
    IMAGE,
    IMAGE_ID,
    REBUILD,
    TEXT,
    TEXT_ID,
    StoreHeader,
    check_payload,
    decode_pointer,
    decode_row,
    id_key,
    row_key,
    take_record,
    take_row,
)
from cnclip.stores.raw.rows import shown

_IDS_AT_ONCE = 4096


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


class ShardRecords:
    """Records of the shards, each checked when it is read; files are opened at the first read.

    Args:
        path: the store's folder.
        header: what it says.
    """

    def __init__(self, path: Path, header: StoreHeader) -> None:
        self._path = path
        self._header = header
        self._first_keys = [bytes.fromhex(shard.first_key) for shard in header.shards]
        self.files: dict[int, environments.SharedFile] = {}

    def image(self, index: int) -> StoredImage:
        """See StoreReader.image."""
        key, (head, image) = self._record(IMAGE, index, self._header.images, take_record)
        try:
            row = decode_row(key, head)
            check_payload(head, image)
        except ValueError as error:
            raise self._damage(IMAGE, index, error) from None
        return StoredImage(row["image_id"], image, row["where"])

    def image_id(self, index: int) -> str:
        """See StoreReader.image_id."""
        key, head = self._record(IMAGE, index, self._header.images, take_row)
        try:
            return str(decode_row(key, head)["image_id"])
        except ValueError as error:
            raise self._damage(IMAGE, index, error) from None

    def text(self, index: int) -> StoredText:
        """See StoreReader.text."""
        key, head = self._record(TEXT, index, self._header.texts, take_row)
        try:
            row = decode_row(key, head)
        except ValueError as error:
            raise self._damage(TEXT, index, error) from None
        return StoredText(row["text_id"], row["caption"], tuple(row["image_ids"]), row["where"])

    def image_index(self, image_id: str) -> int:
        """See StoreReader.image_index."""
        return self._index_of(IMAGE_ID, image_id, self.image_id)

    def text_index(self, text_id: str) -> int:
        """See StoreReader.text_index."""
        return self._index_of(TEXT_ID, text_id, lambda index: self.text(index).text_id)

    def id_keys(self, kind: bytes) -> Iterator[tuple[bytes, int]]:
        """See StoreReader.id_keys."""
        first_place = max(0, bisect_right(self._first_keys, kind) - 1)
        for place in range(first_place, len(self._first_keys)):
            if self._first_keys[place][:1] > kind:
                return
            first, more = kind, True
            while more:
                items = self._file(place).items(first, kind, _IDS_AT_ONCE)
                for key, record in items:
                    yield key, self._pointer(key, record, key[1:].hex())
                more = len(items) == _IDS_AT_ONCE
                first = items[-1][0] + b"\0" if items else first

    def close(self) -> None:
        """Give the files back; a later read opens them again."""
        files, self.files = self.files, {}
        for file in files.values():
            environments.release(file)

    def _record(
        self, kind: bytes, index: int, count: int, take: Callable[[memoryview], environments.Taken]
    ) -> tuple[bytes, environments.Taken]:
        """(key, what `take` makes of the record) of a picture or caption."""
        if not 0 <= index < count:
            raise IndexError(f"{_NAMES[kind]} {index} of {count}")
        key = row_key(kind, index)
        taken = self._get(key, take)
        if taken is None:
            where = f"{self._path} {_NAMES[kind]} {index}"
            raise StoreError(f"{_NAMES[kind]} {index} is missing", where=where, fix=REBUILD)
        return key, taken

    def _index_of(self, kind: bytes, identifier: str, id_at: Callable[[int], str]) -> int:
        key = id_key(kind, identifier)
        record = self._get(key, bytes)
        if record is None:
            raise KeyError(identifier)
        index = self._pointer(key, record, shown(identifier))
        if id_at(index) != identifier:
            raise KeyError(identifier)
        return index

    def _pointer(self, key: bytes, record: bytes, name: str) -> int:
        try:
            return decode_pointer(key, record)
        except ValueError as error:
            where = f"{self._path} id {name}"
            raise StoreError(f"the record of an id is damaged: {error}", where=where, fix=REBUILD) from None

    def _get(self, key: bytes, take: Callable[[memoryview], environments.Taken]) -> environments.Taken | None:
        place = bisect_right(self._first_keys, key) - 1
        return None if place < 0 else self._file(place).get(key, take)

    def _file(self, place: int) -> environments.SharedFile:
        file = self.files.get(place)
        if file is None:
            shard = self._header.shards[place]
            file = self.files[place] = environments.acquire(self._path / shard.name, shard)
        return file

    def _damage(self, kind: bytes, index: int, error: ValueError) -> StoreError:
        return StoreError(
            f"the record of {_NAMES[kind]} {index} is damaged: {error}",
            where=f"{self._path} {_NAMES[kind]} {index}",
            fix=REBUILD,
        )


_NAMES = {IMAGE: "picture", TEXT: "caption"}
