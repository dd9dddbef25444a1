"""The pictures and captions of an index store: those of its parts, one after the other."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from cnclip.errors import StoreError
from cnclip.stores.layout import IMAGE_ID, Part
from cnclip.stores.records import StoredImage, StoredText

if TYPE_CHECKING:
    from cnclip.stores.reader import StoreReader

_MAKE_AGAIN = "put the store back there, or make the index again: cnclip data merge … --index true"


class PartRecords:
    """Rows of other stores, which are opened when they are first read.

    Args:
        path: the index store's folder.
        parts: the stores.
        open_store: opens one.
    """

    def __init__(self, path: Path, parts: Sequence[Part], open_store: Callable[[Path], StoreReader]) -> None:
        self._folder = path
        self._parts = parts
        self._open_store = open_store
        self._image_starts = list(accumulate((part.images for part in parts), initial=0))
        self._text_starts = list(accumulate((part.texts for part in parts), initial=0))
        self._readers: dict[int, StoreReader] = {}

    def image(self, index: int) -> StoredImage:
        """See StoreReader.image."""
        reader, own = self._at(self._image_starts, index, "picture")
        return reader.image(own)

    def image_id(self, index: int) -> str:
        """See StoreReader.image_id."""
        reader, own = self._at(self._image_starts, index, "picture")
        return reader.image_id(own)

    def text(self, index: int) -> StoredText:
        """See StoreReader.text."""
        reader, own = self._at(self._text_starts, index, "caption")
        return reader.text(own)

    def image_index(self, image_id: str) -> int:
        """See StoreReader.image_index; the parts are asked one after the other."""
        for place, start in enumerate(self._image_starts[:-1]):
            try:
                return start + self.reader(place).image_index(image_id)
            except KeyError:
                continue
        raise KeyError(image_id)

    def text_index(self, text_id: str) -> int:
        """See StoreReader.text_index; the parts are asked one after the other."""
        for place, start in enumerate(self._text_starts[:-1]):
            try:
                return start + self.reader(place).text_index(text_id)
            except KeyError:
                continue
        raise KeyError(text_id)

    def id_keys(self, kind: bytes) -> Iterator[tuple[bytes, int]]:
        """See StoreReader.id_keys."""
        starts = self._image_starts if kind == IMAGE_ID else self._text_starts
        return merge(*(self._shifted(kind, place, start) for place, start in enumerate(starts[:-1])))

    def verify(self) -> None:
        """Compare every file of every part with its sha256."""
        for place in range(len(self._parts)):
            self.reader(place).verify()

    def close(self) -> None:
        """Close the parts; a later read opens them again."""
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            reader.close()

    def reader(self, place: int) -> StoreReader:
        """Of the part number `place`.

        Raises:
            StoreError: it is not where it was, or another store is there now.
        """
        reader = self._readers.get(place)
        return self._open(place) if reader is None else reader

    def _open(self, place: int) -> StoreReader:
        part = self._parts[place]
        path = Path(os.path.normpath(self._folder.resolve() / part.path))
        if not path.is_dir():
            raise StoreError(f"part {part.path} of the index is missing", where=str(path), fix=_MAKE_AGAIN)
        reader = self._open_store(path)
        if reader.fingerprint != part.fingerprint:
            raise StoreError(
                f"part {part.path} of the index was replaced: its content is another one",
                where=str(path),
                fix=_MAKE_AGAIN,
            )
        return self._readers.setdefault(place, reader)

    def _at(self, starts: list[int], index: int, name: str) -> tuple[StoreReader, int]:
        """(part, row there) of a row of the index."""
        if not 0 <= index < starts[-1]:
            raise IndexError(f"{name} {index} of {starts[-1]}")
        place = bisect_right(starts, index) - 1
        return self.reader(place), index - starts[place]

    def _shifted(self, kind: bytes, place: int, start: int) -> Iterator[tuple[bytes, int]]:
        return ((key, start + index) for key, index in self.reader(place).id_keys(kind))
