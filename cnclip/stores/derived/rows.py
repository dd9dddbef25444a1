"""Rows of stores as a source, so that a store is made of stores by the one builder that there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnclip.stores.layout import HEADER_NAME
from cnclip.stores.raw.rows import RawImage, RawText, Report
from cnclip.stores.reader import StoreReader

Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NONE = -1


@dataclass(frozen=True)
class Choice:
    """Which rows of some stores, one after the other, a new store gets.

    Attributes:
        stand_ins: int64 [pictures]: the picture that stands for each one: itself, another one, or NONE.
        texts: bool [captions]: those that are taken, if a picture of theirs is or they have none.
        links: bool [pairs]: those that are taken; None = all.
    """

    stand_ins: Places
    texts: Mask
    links: Mask | None = None

    @property
    def image_count(self) -> int:
        """Pictures that are taken."""
        return int((self.stand_ins == np.arange(len(self.stand_ins))).sum())


class DerivedSource:
    """The chosen rows of stores in the order of the stores; picture bytes are those of the stores.

    Links that are not taken, or lead to pictures that are not, are left out; so is a caption that loses its
    last one. A picture for which another one stands gives its captions to that one.

    Args:
        readers: of the stores.
        choice: see Choice.
        facts: what the new store's header says about where it comes from.
        prefixes: put before the ids of each store; none by default.
    """

    def __init__(
        self,
        readers: Sequence[StoreReader],
        choice: Choice,
        facts: Mapping[str, Any],
        prefixes: Sequence[str] | None = None,
    ) -> None:
        self._readers = readers
        self._choice = choice
        self._prefixes = prefixes or [""] * len(readers)
        self._starts = starts_of([reader.image_count for reader in readers])
        self._text_starts = starts_of([reader.text_count for reader in readers])
        self._pair_starts = starts_of([reader.pair_count for reader in readers])
        self.root: Path = readers[0].path
        self.inputs: tuple[Path, ...] = tuple(reader.path / HEADER_NAME for reader in readers)
        self.facts = dict(facts)
        self.share_read: float | None = 0.0

    def images(self, report: Report) -> Iterator[RawImage]:
        """Pictures that stand for themselves."""
        total = len(self._choice.stand_ins)
        for store, reader in enumerate(self._readers):
            start = int(self._starts[store])
            own = self._choice.stand_ins[start : start + reader.image_count]
            for index in np.flatnonzero(own == np.arange(start, start + len(own))).tolist():
                self.share_read = (start + index) / max(1, total)
                stored = reader.image(index)
                image_id = self._prefixes[store] + stored.image_id
                yield RawImage(image_id, stored.where, partial(bytes, stored.image))

    def texts(self, report: Report) -> Iterator[RawText]:
        """Captions that are taken, with the pictures that are."""
        total = len(self._choice.texts)
        for store, reader in enumerate(self._readers):
            start = int(self._text_starts[store])
            own = self._choice.texts[start : start + reader.text_count]
            for index in np.flatnonzero(own).tolist():
                self.share_read = (start + index) / max(1, total)
                text = self.text(store, index)
                if text is not None:
                    yield text

    def text(self, store: int, index: int) -> RawText | None:
        """One caption as it will be written; None where no picture of it is taken."""
        stored = self._readers[store].text(index)
        image_ids = self._linked(store, index, stored.image_ids)
        if stored.image_ids and not image_ids:
            return None
        return RawText(self._prefixes[store] + stored.text_id, stored.caption, image_ids, stored.where)

    def is_written(self, store: int, index: int) -> bool:
        """Whether a picture stands for itself."""
        place = int(self._starts[store]) + index
        return int(self._choice.stand_ins[place]) == place

    def _linked(self, store: int, index: int, own_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Ids of the pictures that stand for a caption's own, each once."""
        reader, start = self._readers[store], int(self._starts[store])
        first, end = np.searchsorted(reader.pair_texts, [index, index + 1])
        found: dict[str, None] = {}
        taken, before = self._choice.links, int(self._pair_starts[store])
        for pair, own_id in zip(range(first, end), own_ids, strict=True):
            if taken is not None and not taken[before + pair]:
                continue
            image = int(reader.pair_images[pair])
            place = start + image
            stand_in = int(self._choice.stand_ins[place])
            if stand_in == place:
                found[self._prefixes[store] + own_id] = None
            elif stand_in != NONE:
                found[self._id_at(stand_in)] = None
        return tuple(found)

    def _id_at(self, place: int) -> str:
        store = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._prefixes[store] + self._readers[store].image_id(place - int(self._starts[store]))


def starts_of(counts: Sequence[int]) -> Places:
    """int64: where each store's rows begin when the stores follow each other."""
    return np.cumsum([0, *counts[:-1]], dtype=np.int64)


def origin_of(reader: StoreReader) -> dict[str, str]:
    """What a header says about a store that rows come from; no machine's path."""
    return {"store": reader.path.resolve().name, "fingerprint": reader.fingerprint}
