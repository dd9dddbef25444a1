"""What every writer of a format is given: the store, the options, the progress."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cnclip.errors import InterruptedRun, RecipeError
from cnclip.stores.derived.rows import Places
from cnclip.stores.reader import StoredText, StoreReader

Progress = Callable[[str, int, int], None]
_NAME = re.compile(r"[^\W.][\w.-]*")


@dataclass(frozen=True)
class ExportOptions:
    """How to write the files.

    Attributes:
        split: name of the split in formats that have one.
        shard_images: most pictures in a tar or a Parquet file.
        shard_bytes: size that one of them should not pass.
    """

    split: str = "train"
    shard_images: int = 10_000
    shard_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.split) is None:
            raise RecipeError(f"split is {self.split!r}", fix="--split train: letters, digits, _ . -")
        if self.shard_images < 1 or self.shard_bytes < 1:
            raise RecipeError("a shard must hold something", fix="--shard-size 1GB")


@dataclass(frozen=True)
class ExportJob:
    """A store that is being written as files of another format.

    Attributes:
        reader: of the store.
        options: see ExportOptions.
        progress: called with (`pictures`, `captions` or `pairs`, rows done, rows in all).
        should_stop: asked at each row.
    """

    reader: StoreReader
    options: ExportOptions
    progress: Progress | None = None
    should_stop: Callable[[], bool] | None = None

    def pictures(self) -> Iterator[int]:
        """Numbers of all pictures.

        Raises:
            InterruptedRun: `should_stop` said so.
        """
        return self._counted("pictures", self.reader.image_count)

    def captions(self) -> Iterator[int]:
        """Numbers of all captions.

        Raises:
            InterruptedRun: `should_stop` said so.
        """
        return self._counted("captions", self.reader.text_count)

    def pairs(self) -> Iterator[int]:
        """Numbers of all pairs.

        Raises:
            InterruptedRun: `should_stop` said so.
        """
        return self._counted("pairs", self.reader.pair_count)

    def _counted(self, step: str, count: int) -> Iterator[int]:
        for index in range(count):
            yield index
            if self.progress is not None:
                self.progress(step, index + 1, count)
            if self.should_stop is not None and self.should_stop():
                raise InterruptedRun("stopped on request; nothing was written", fix="run it again")


class CaptionsOfPictures:
    """The captions of each picture, for formats in which a picture brings its captions.

    A caption of several pictures is there with each of them, and its ids are `id#1`, `id#2`, …, as `cnclip
    data build --text-rows pairs` names them. Memory: 8 bytes a pair.

    Args:
        reader: of the store.
    """

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader
        self._order: Places = np.argsort(reader.pair_images, kind="stable")
        self._ends: Places = np.cumsum(np.bincount(reader.pair_images, minlength=reader.image_count))

    def of(self, image: int) -> list[tuple[str, StoredText]]:
        """(id, caption) of each caption of picture number `image`, in the order of the captions."""
        start = int(self._ends[image - 1]) if image else 0
        pairs = self._order[start : int(self._ends[image])].tolist()
        return [pair_row(self._reader, pair) for pair in pairs]


def pair_row(reader: StoreReader, pair: int) -> tuple[str, StoredText]:
    """(id of the caption in this pair, the caption) of pair number `pair`."""
    index = int(reader.pair_texts[pair])
    text = reader.text(index)
    if len(text.image_ids) == 1:
        return text.text_id, text
    first = int(np.searchsorted(reader.pair_texts, index))
    return f"{text.text_id}#{pair - first + 1}", text
