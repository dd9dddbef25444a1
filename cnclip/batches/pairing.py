"""Which picture and which of its captions a position of a store stands for."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from cnclip.batches.randomness import CAPTION, Draws, Numbers, below, share

CaptionSampling = Literal["every_pair", "one_per_image"]

_BLOCK_BYTES = 32  # of the bitmap under one count
_PAIRS_AT_ONCE = 1 << 18
_ONES = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)


class Counts(Protocol):
    """What a store's header says."""

    @property
    def unreferenced_images(self) -> int: ...


class PairStore(Protocol):
    """What is asked of a store: a StoreReader, or a stand-in of any size."""

    @property
    def header(self) -> Counts: ...
    @property
    def image_count(self) -> int: ...
    @property
    def pair_count(self) -> int: ...
    @property
    def pair_images(self) -> Numbers: ...
    @property
    def pair_texts(self) -> Numbers: ...
    def pair_at(self, index: int, /) -> tuple[int, int]: ...
    def texts_of(self, image_index: int, /) -> Numbers: ...
    def caption_group(self, text_index: int, /) -> int: ...


class Pairing:
    """Positions of a store: its pairs, or its pictures, each with one of its captions.

    A caption is drawn anew each epoch, as a function of (seed, store, epoch, picture).

    Args:
        store: an open store.
        number: of the store in the mixture.
        captions: see DataConfig.captions.
        first_caption_share: see DataConfig.first_caption_share; 0 = every caption alike.
        seed: of the captions.
    """

    def __init__(
        self,
        store: PairStore,
        *,
        number: int = 0,
        captions: CaptionSampling,
        first_caption_share: float = 0.0,
        seed: int,
    ) -> None:
        self.store = store
        self.captions = captions
        self.first_caption_share = first_caption_share
        self._draws = Draws(CAPTION, seed, number)
        self._captioned: _Chosen | None = None
        if captions == "one_per_image" and store.header.unreferenced_images:
            self._captioned = _Chosen(store.pair_images, store.image_count)

    def __len__(self) -> int:
        if self.captions == "every_pair":
            return self.store.pair_count
        return self.store.image_count if self._captioned is None else len(self._captioned)

    def pair(self, epoch: int, position: int) -> tuple[int, int]:
        """(index of the picture, index of the caption) of one sample."""
        if self.captions == "every_pair":
            return self.store.pair_at(position)
        images, texts = self.pairs(np.array([epoch]), np.array([position]))
        return int(images[0]), int(texts[0])

    def pairs(self, epochs: Numbers, positions: Numbers) -> tuple[Numbers, Numbers]:
        """(pictures, captions), int64 [n] each, of n samples."""
        if self.captions == "every_pair":
            return self.store.pair_images[positions], self.store.pair_texts[positions]
        images = positions if self._captioned is None else self._captioned.at(positions)
        texts = [self.store.texts_of(image) for image in images.tolist()]
        choices = self._choices(epochs, images, np.array([len(own) for own in texts]))
        chosen = [own[choice] for own, choice in zip(texts, choices.tolist(), strict=True)]
        return images, np.array(chosen, dtype=np.int64)

    def _choices(self, epochs: Numbers, images: Numbers, counts: Numbers) -> Numbers:
        words = self._draws.words(epochs, images)
        if self.first_caption_share == 0.0:
            return below(words, counts)
        others = 1 + below(words, np.maximum(counts - 1, 1))
        takes_first = (share(words) < self.first_caption_share) | (counts == 1)
        return np.where(takes_first, 0, others)


class _Chosen:
    """The numbers below `count` that occur in an array, as a bit each and a count for each 256 bits."""

    def __init__(self, occurring: Numbers, count: int) -> None:
        self._bits = np.zeros((-(-count // (8 * _BLOCK_BYTES)), _BLOCK_BYTES), dtype=np.uint8)
        flat = self._bits.reshape(-1)
        for first in range(0, len(occurring), _PAIRS_AT_ONCE):
            _set_bits(flat, occurring[first : first + _PAIRS_AT_ONCE])
        ones = np.zeros(len(self._bits), dtype=np.int64)
        for first in range(0, len(ones), _PAIRS_AT_ONCE // _BLOCK_BYTES):
            blocks = slice(first, first + _PAIRS_AT_ONCE // _BLOCK_BYTES)
            ones[blocks] = _ONES[self._bits[blocks]].sum(axis=1)
        self._ends = np.cumsum(ones)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def at(self, ranks: Numbers) -> Numbers:
        """int64 [n]: the numbers with int64 [n] ranks, counted from 0."""
        blocks = np.searchsorted(self._ends, ranks, side="right")
        rows = self._bits[blocks]  # uint8 [n, 32]
        ones = _ONES[rows].astype(np.int64)
        before = np.cumsum(ones, axis=1) - ones + (self._ends[blocks] - ones.sum(axis=1))[:, None]
        byte = np.argmax(before + ones > ranks[:, None], axis=1)
        each = np.arange(len(ranks))
        bits = np.unpackbits(rows[each, byte][:, None], axis=1, bitorder="little")
        reached = np.cumsum(bits, axis=1) > (ranks - before[each, byte])[:, None]
        found: npt.NDArray[np.int64] = (blocks * _BLOCK_BYTES + byte) * 8 + np.argmax(reached, axis=1)
        return found


def _set_bits(flat: npt.NDArray[np.uint8], numbers: Numbers) -> None:
    """Set the bits with these numbers; those of neighbouring rows lie close together, as a rule."""
    low, high = int(numbers.min()) >> 3, (int(numbers.max()) >> 3) + 1
    if high - low <= len(numbers):
        near = np.zeros(8 * (high - low), dtype=bool)
        near[numbers - 8 * low] = True
        flat[low:high] |= np.packbits(near, bitorder="little")
        return
    for bit in range(8):
        flat[numbers[numbers & 7 == bit] >> 3] |= np.uint8(1 << bit)
