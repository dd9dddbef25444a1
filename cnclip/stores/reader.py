"""Reads a finished store: by index, by id, by pair; from any process, thread or worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnclip.artifacts import verify_dir
from cnclip.errors import ArtifactError, StoreError
from cnclip.stores.arrays import Values
from cnclip.stores.layout import REBUILD, group_number
from cnclip.stores.links import ArrayLinks, OldLinks
from cnclip.stores.opening import open_header
from cnclip.stores.parts import PartRecords
from cnclip.stores.raw.rows import RawPair
from cnclip.stores.records import ShardRecords, StoredImage, StoredText

__all__ = ["StoreReader", "StoredImage", "StoredText"]


class StoreReader:
    """A finished store, or an index store (see cnclip.stores.layout), which reads like one.

    Sizes are checked here, files are opened at the first read, and every record is checked when it is read,
    every block of an array when it is first touched; so opening costs the same for a store of any size. A
    reader may be pickled, forked, and shared by threads; readers of the same store share its open files.

    Args:
        path: the store's folder.

    Raises:
        StoreError: no store, an unfinished or damaged one, a newer format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.header = open_header(self.path)
        self._records: ShardRecords | PartRecords = (
            PartRecords(self.path, self.header.parts, StoreReader)
            if self.header.parts
            else ShardRecords(self.path, self.header)
        )
        self._opened_links: ArrayLinks | OldLinks | None = None

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
        """Hash of the content, see StoreHeader: equal for stores of the same rows in the same order."""
        return self.header.fingerprint

    def image(self, index: int) -> StoredImage:
        """Picture number `index`.

        Raises:
            IndexError: there is no such number.
            StoreError: its record is damaged; the key is named.
        """
        return self._records.image(index)

    def image_id(self, index: int) -> str:
        """Id of picture number `index`, without its bytes."""
        return self._records.image_id(index)

    def text(self, index: int) -> StoredText:
        """Caption number `index`.

        Raises:
            IndexError: there is no such number.
            StoreError: its record is damaged; the key is named.
        """
        return self._records.text(index)

    def pair(self, index: int) -> RawPair:
        """Pair number `index`: pairs come in the order of the captions, then of each caption's pictures."""
        image_index, text_index = self.pair_at(index)
        image, text = self._records.image(image_index), self._records.text(text_index)
        return RawPair(image.image_id, image.image, text.text_id, text.caption)

    def pair_at(self, index: int) -> tuple[int, int]:
        """(picture's index, caption's index) of pair number `index`.

        Raises:
            IndexError: there is no such number.
            StoreError: its block of the array is damaged; file and block are named.
        """
        if not 0 <= index < self.header.pairs:
            raise IndexError(f"pair {index} of {self.header.pairs}")
        return (self._opened_links or self._links()).pair_at(index)

    def texts_of(self, image_index: int) -> Values:
        """int64 [captions]: the indices of the captions of a picture, in the order of the pairs; read-only.

        Raises:
            IndexError, StoreError: as `pair_at`.
        """
        if not 0 <= image_index < self.header.images:
            raise IndexError(f"picture {image_index} of {self.header.images}")
        return (self._opened_links or self._links()).texts_of(image_index)

    def caption_group(self, text_index: int) -> int:
        """Number of a caption's text: equal captions have equal numbers (see layout.group_number).

        Raises:
            IndexError, StoreError: as `pair_at`.
        """
        if not 0 <= text_index < self.header.texts:
            raise IndexError(f"caption {text_index} of {self.header.texts}")
        number = (self._opened_links or self._links()).caption_group(text_index)
        return group_number(self.text(text_index).caption) if number is None else number

    def caption_groups(self, start: int, end: int) -> Values:
        """int64 [end - start]: the numbers of the texts of some captions, see `caption_group`."""
        groups = self._links().caption_groups(start, end)
        if groups is None:
            numbers = (group_number(self.text(index).caption) for index in range(start, end))
            return np.fromiter(numbers, dtype=np.int64, count=end - start)
        return groups

    @property
    def pair_images(self) -> Values:
        """int64 [pair_count]: the index of each pair's picture; mapped from the file, read-only."""
        return self._links().pair_images

    @property
    def pair_texts(self) -> Values:
        """int64 [pair_count]: the index of each pair's caption; mapped from the file, read-only."""
        return self._links().pair_texts

    def image_index(self, image_id: str) -> int:
        """Number of the picture with this id.

        Raises:
            KeyError: there is none.
        """
        return self._records.image_index(image_id)

    def text_index(self, text_id: str) -> int:
        """Number of the caption with this id.

        Raises:
            KeyError: there is none.
        """
        return self._records.text_index(text_id)

    def id_keys(self, kind: bytes) -> Iterator[tuple[bytes, int]]:
        """(key that hashes an id, index) of all pictures or captions, in the order of the keys.

        Args:
            kind: layout.IMAGE_ID or layout.TEXT_ID.
        """
        return self._records.id_keys(kind)

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
        """Compare every file with its sha256, those of an index store's parts too.

        Raises:
            StoreError: the first file that differs.
        """
        try:
            verify_dir(self.path, deep=True)
        except ArtifactError as error:
            raise StoreError(error.what, where=error.where, fix=REBUILD) from None
        if isinstance(self._records, PartRecords):
            self._records.verify()

    def close(self) -> None:
        """Give the files back; a later read opens them again."""
        self._records.close()
        self._opened_links = None

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the path and the fingerprint: a worker opens its own files, of the same store."""
        return _reopen, (self.path, self.fingerprint)

    def _links(self) -> ArrayLinks | OldLinks:
        if self._opened_links is None:
            seal = self.header.arrays
            self._opened_links = (
                OldLinks(self.path, self.header) if seal is None else ArrayLinks(self.path, seal)
            )
        return self._opened_links


def _reopen(path: Path, fingerprint: str) -> StoreReader:
    reader = StoreReader(path)
    if reader.fingerprint != fingerprint:
        raise StoreError(
            "the store was replaced while it was in use", where=str(path), fix="start the run again"
        )
    return reader
