"""Which pictures and captions of a store belong together: from the checked arrays, or by the old format."""

from __future__ import annotations

import zlib
from functools import cached_property
from pathlib import Path

import numpy as np

from cnclip.errors import StoreError
from cnclip.stores.arrays import Values, open_arrays
from cnclip.stores.layout import (
    CAPTION_GROUPS_NAME,
    IMAGE_STARTS_NAME,
    IMAGE_TEXTS_NAME,
    PAIR_DTYPE,
    PAIR_IMAGES_NAME,
    PAIR_TEXTS_NAME,
    REBUILD,
    ArraySeal,
    StoreHeader,
)


class ArrayLinks:
    """Links of a store of format 2: nothing is held but the mapped files and a bit for each of their blocks.

    Args:
        folder: the store.
        seal: of its header.

    Raises:
        StoreError: `arrays.crc` is missing or damaged; the methods raise it for a damaged block.
    """

    def __init__(self, folder: Path, seal: ArraySeal) -> None:
        arrays = open_arrays(folder, seal)
        self._pair_images, self._pair_texts = arrays[PAIR_IMAGES_NAME], arrays[PAIR_TEXTS_NAME]
        self._groups = arrays[CAPTION_GROUPS_NAME]
        self._starts, self._image_texts = arrays[IMAGE_STARTS_NAME], arrays[IMAGE_TEXTS_NAME]
        self.arrays = arrays

    @cached_property
    def pair_images(self) -> Values:
        """int64 [pairs], checked whole."""
        return self._pair_images.whole()

    @cached_property
    def pair_texts(self) -> Values:
        """int64 [pairs], checked whole."""
        return self._pair_texts.whole()

    def pair_at(self, index: int) -> tuple[int, int]:
        """(picture, caption) of a pair."""
        return self._pair_images.value(index), self._pair_texts.value(index)

    def texts_of(self, image_index: int) -> Values:
        """int64 [captions of the picture]."""
        starts = self._starts
        return self._image_texts.values(starts.value(image_index), starts.value(image_index + 1))

    def caption_group(self, text_index: int) -> int | None:
        """See layout.group_number."""
        return self._groups.value(text_index)

    def caption_groups(self, start: int, end: int) -> Values | None:
        """int64 [end - start]: see layout.group_number."""
        return self._groups.values(start, end)


class OldLinks:
    """Links of a store of format 1: captions are sorted by picture in memory when they are asked for.

    Args:
        folder: the store.
        header: what it says.
    """

    def __init__(self, folder: Path, header: StoreHeader) -> None:
        self._folder = folder
        self._header = header

    @cached_property
    def pair_images(self) -> Values:
        """int64 [pairs], checked whole."""
        return self._read(PAIR_IMAGES_NAME, self._header.pair_images_crc)

    @cached_property
    def pair_texts(self) -> Values:
        """int64 [pairs], checked whole."""
        return self._read(PAIR_TEXTS_NAME, self._header.pair_texts_crc)

    def pair_at(self, index: int) -> tuple[int, int]:
        """(picture, caption) of a pair."""
        return int(self.pair_images[index]), int(self.pair_texts[index])

    def texts_of(self, image_index: int) -> Values:
        """int64 [captions of the picture]."""
        starts, texts = self._by_image
        return texts[starts[image_index] : starts[image_index + 1]]

    def caption_group(self, text_index: int) -> int | None:
        """None: this format has no numbers of captions."""
        return None

    def caption_groups(self, start: int, end: int) -> Values | None:
        """None: this format has no numbers of captions."""
        return None

    @cached_property
    def _by_image(self) -> tuple[Values, Values]:
        """image_starts and image_texts, as in cnclip.stores.arrays."""
        counts = np.bincount(self.pair_images, minlength=self._header.images)
        order = np.argsort(self.pair_images, kind="stable")
        return np.concatenate(([0], np.cumsum(counts))), self.pair_texts[order]

    def _read(self, name: str, crc: int) -> Values:
        if self._header.pairs == 0:
            return np.zeros(0, dtype=np.int64)
        mapped = np.memmap(self._folder / name, dtype=PAIR_DTYPE, mode="r")
        if len(mapped) != self._header.pairs or zlib.crc32(mapped) != crc:  # type: ignore[arg-type]
            raise StoreError(f"{name} is damaged", where=str(self._folder), fix=REBUILD)
        return np.asarray(mapped)
