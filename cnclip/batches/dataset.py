"""What a sample looks like: picture or ready-made row, and one of its captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnclip.batches.mixture import Address, Addresses, Mixture
from cnclip.batches.pairing import CaptionSampling, Pairing
from cnclip.batches.randomness import AUGMENT, VIEW, WORDING, Draws, Numbers, below, generator
from cnclip.errors import CnclipError, StoreError
from cnclip.images.augment import AugmentPolicy, augment_told
from cnclip.images.decode import decode_image
from cnclip.images.fast import PixelTransform
from cnclip.stores.layout import group_number
from cnclip.stores.reader import StoreReader
from cnclip.text.normalize import normalize_caption
from cnclip.text.sides import swap_sides
from cnclip.text.synonyms import Synonyms
from cnclip.text.vary import CaptionPolicy, vary_caption

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16]
Distinct = Literal["none", "images", "captions", "both"]


@dataclass(frozen=True)
class PairSample:
    """One pair on its way into a batch.

    Attributes:
        image: uint8 [3, S, S], or a float32 row [D].
        caption: as it is learned.
        image_id, text_id: names in their store.
        groups: a number for the picture and one for the caption as it stands in the store.
    """

    image: Tensor
    caption: str
    image_id: str
    text_id: str
    groups: tuple[int, int]


@dataclass(frozen=True)
class ImageRows:
    """Rows that stand in for the pictures of a store.

    Attributes:
        views: V arrays, float32 or float16 [N, D], of the store's N pictures in store order.
    """

    views: tuple[Rows, ...]


@dataclass(frozen=True)
class SampleSettings:
    """What is done with a pair.

    Attributes:
        seed: of captions, views and augmentation.
        captions: see DataConfig.captions.
        first_caption_share: see DataConfig.first_caption_share; 0 = every caption alike.
        transform: picture -> pixels; unused where rows stand in.
        policy: augmentation of pictures, or None; a mirrored one's caption gets left and right exchanged.
        wording: augmentation of captions, or None.
        synonyms: words that it may put for others.
    """

    seed: int
    captions: CaptionSampling
    first_caption_share: float = 0.0
    transform: PixelTransform | None = None
    policy: AugmentPolicy | None = None
    wording: CaptionPolicy | None = None
    synonyms: Synonyms | None = None


class PairDataset(Dataset["PairSample | CnclipError"]):
    """Samples of one or several stores, addressed by (store, epoch, position).

    Args:
        stores: open readers.
        settings: what is done with a pair.
        rows: for each store, ready-made rows in place of pictures.

    Raises:
        StoreError: a store without pairs.
    """

    def __init__(
        self,
        stores: Sequence[StoreReader],
        settings: SampleSettings,
        *,
        rows: Sequence[ImageRows] | None = None,
    ) -> None:
        self.stores = tuple(stores)
        self.settings = settings
        self.rows = None if rows is None else tuple(rows)
        self.pairings = [
            Pairing(
                store,
                number=number,
                captions=settings.captions,
                first_caption_share=settings.first_caption_share,
                seed=settings.seed,
            )
            for number, store in enumerate(self.stores)
        ]
        for store, pairing in zip(self.stores, self.pairings, strict=True):
            if len(pairing) == 0:
                raise StoreError(
                    "no pairs to train on", where=str(store.path), fix="give captions with image ids"
                )
        self._views = [Draws(VIEW, settings.seed, number) for number in range(len(self.stores))]
        self._first_images = np.cumsum([0, *(store.image_count for store in self.stores)]).tolist()

    def __len__(self) -> int:
        """Samples of all stores."""
        return sum(len(pairing) for pairing in self.pairings)

    def mixture(self, weights: Sequence[float] | None = None) -> Mixture:
        """The order in which the samples come."""
        lengths = [len(pairing) for pairing in self.pairings]
        return Mixture(lengths, seed=self.settings.seed, weights=weights)

    def groups(self, addresses: Addresses, kind: Distinct) -> list[Numbers]:
        """Numbers of pictures, captions or both, int64 [n] each: equal where the samples hold the same."""
        images, captions = np.empty_like(addresses.positions), np.empty_like(addresses.positions)
        for number, (store, pairing) in enumerate(zip(self.stores, self.pairings, strict=True)):
            own = np.flatnonzero(addresses.stores == number)
            of_own, texts = pairing.pairs(addresses.epochs[own], addresses.positions[own])
            images[own] = of_own + self._first_images[number]
            if kind != "images":
                captions[own] = [store.caption_group(text) for text in texts.tolist()]
        return {"images": [images], "captions": [captions], "both": [images, captions]}[kind]

    def __getitem__(self, address: Address) -> PairSample | CnclipError:
        """One sample, or the error met on the way: raised in a worker it would lose its place and remedy."""
        try:
            return self.sample(*address)
        except CnclipError as error:
            return error
        except StopIteration as error:  # a loader takes it for the end of the data
            return CnclipError(f"reading a sample ended early: {error!r}", where=f"sample {address}")

    def sample(self, number: int, epoch: int, position: int) -> PairSample:
        """The sample at `position` of store `number` in its epoch `epoch`.

        Raises:
            StoreError: a record is damaged.
            ImageError: a picture cannot be decoded.
        """
        store = self.stores[number]
        image_index, text_index = self.pairings[number].pair(epoch, position)
        text = store.text(text_index)
        caption = text.caption
        if self.rows is None:
            image_id, image, mirrored = self._picture(number, epoch, image_index)
            caption = swap_sides(caption) if mirrored else caption
        else:
            image_id, image = store.image_id(image_index), self._row(number, epoch, image_index)
        if self.settings.wording is not None:
            random = generator(WORDING, self.settings.seed, number, epoch, image_index, text_index)
            wording, synonyms = self.settings.wording, self.settings.synonyms
            caption = vary_caption(normalize_caption(caption), random, wording, synonyms)
        return PairSample(
            image=image,
            caption=caption,
            image_id=image_id,
            text_id=text.text_id,
            groups=(self._first_images[number] + image_index, group_number(text.caption)),
        )

    def _row(self, number: int, epoch: int, image_index: int) -> Tensor:
        assert self.rows is not None
        views = self.rows[number].views
        view = 0
        if len(views) > 1:
            words = self._views[number].words(np.array([epoch]), np.array([image_index]))
            view = int(below(words, np.array([len(views)]))[0])
        return torch.from_numpy(views[view][image_index].astype(np.float32))

    def _picture(self, number: int, epoch: int, image_index: int) -> tuple[str, Tensor, bool]:
        """(id, uint8 [3, S, S], whether left and right are exchanged)."""
        settings = self.settings
        assert settings.transform is not None
        stored = self.stores[number].image(image_index)
        if settings.policy is None:
            picture = settings.transform.read(stored.image, name=stored.image_id)
            return stored.image_id, settings.transform.to_uint8(picture), False
        picture = decode_image(stored.image, name=stored.image_id)
        random = generator(AUGMENT, settings.seed, number, epoch, image_index)
        found = augment_told(picture, random, settings.policy)
        return stored.image_id, settings.transform.to_uint8(found.image), found.mirrored
