"""What a sample looks like: picture or ready-made row, and one of its captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnclip.batches.order import AUGMENT, CAPTION, VIEW, generator
from cnclip.errors import CnclipError, StoreError
from cnclip.images.augment import AugmentPolicy, augment_image
from cnclip.images.decode import decode_image
from cnclip.images.transform import ImageTransform
from cnclip.stores.reader import StoreReader

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16]
CaptionSampling = Literal["every_pair", "one_per_image"]


@dataclass(frozen=True)
class PairSample:
    """One pair on its way into a batch: `image` is uint8 [3, S, S] or a float32 row [D]."""

    image: Tensor
    caption: str
    image_id: str
    text_id: str


@dataclass(frozen=True)
class ImageRows:
    """Rows that stand in for pictures.

    Attributes:
        views: V arrays, float32 or float16 [N, D], of the store's N pictures in store order.
    """

    views: tuple[Rows, ...]


class PairDataset(Dataset["PairSample | CnclipError"]):
    """Samples of a store, addressed by (epoch, position).

    Args:
        store: an open reader.
        transform: picture -> pixels; unused where `rows` are given.
        policy: augmentation, or None.
        seed: of captions, views and augmentation.
        captions: see DataConfig.captions.
        first_caption_share: see DataConfig.first_caption_share; 0 = every caption alike.
        rows: ready-made rows in place of pictures.
    """

    def __init__(
        self,
        store: StoreReader,
        *,
        transform: ImageTransform | None,
        policy: AugmentPolicy | None,
        seed: int,
        captions: CaptionSampling,
        first_caption_share: float = 0.0,
        rows: ImageRows | None = None,
    ) -> None:
        self.store = store
        self.transform = transform
        self.policy = policy
        self.seed = seed
        self.captions = captions
        self.first_caption_share = first_caption_share
        self.rows = rows
        if captions == "one_per_image":
            self._images, self._starts, self._texts = _captions_of_images(store)
        self.length = len(self._images) if captions == "one_per_image" else store.pair_count
        if self.length == 0:
            raise StoreError(
                "no pairs to train on", where=str(store.path), fix="give captions with image ids"
            )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, address: tuple[int, int]) -> PairSample | CnclipError:
        """One sample, or the error met on the way: raised in a worker it would lose its place and remedy."""
        try:
            return self.sample(*address)
        except CnclipError as error:
            return error

    def sample(self, epoch: int, position: int) -> PairSample:
        """Sample number `position` of epoch `epoch`.

        Raises:
            StoreError: a record is damaged.
            ImageError: a picture cannot be decoded.
        """
        image_index, text_index = self._pair(epoch, position)
        text = self.store.text(text_index)
        if self.rows is None:
            image_id, image = self._picture(epoch, image_index)
        else:
            image_id = self.store.image_id(image_index)
            views = self.rows.views
            view = int(generator(VIEW, self.seed, epoch, image_index).integers(len(views)))
            image = torch.from_numpy(views[view][image_index].astype(np.float32))
        return PairSample(image=image, caption=text.caption, image_id=image_id, text_id=text.text_id)

    def _pair(self, epoch: int, position: int) -> tuple[int, int]:
        if self.captions == "every_pair":
            return int(self.store.pair_images[position]), int(self.store.pair_texts[position])
        first, after = int(self._starts[position]), int(self._starts[position + 1])
        random = generator(CAPTION, self.seed, epoch, position)
        choice = int(random.integers(first, after))
        if self.first_caption_share > 0 and after - first > 1:
            takes_first = random.random() < self.first_caption_share
            choice = first if takes_first else int(random.integers(first + 1, after))
        return int(self._images[position]), int(self._texts[choice])

    def _picture(self, epoch: int, image_index: int) -> tuple[str, Tensor]:
        assert self.transform is not None
        stored = self.store.image(image_index)
        picture = decode_image(stored.image, name=stored.image_id)
        if self.policy is not None:
            picture = augment_image(picture, generator(AUGMENT, self.seed, epoch, image_index), self.policy)
        return stored.image_id, self.transform.to_uint8(picture)


def _captions_of_images(store: StoreReader) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images that have captions, where each one's captions start, and the captions' text indices."""
    order = np.argsort(store.pair_images, kind="stable")
    images, starts = np.unique(store.pair_images[order], return_index=True)
    return images, np.append(starts, len(order)), store.pair_texts[order]
