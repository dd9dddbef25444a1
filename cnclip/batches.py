"""From a store to batches: which sample comes when, and what it looks like, as pure functions of counters.

Order, caption and augmentation depend on (seed, epoch, sample) alone, never on a process's random state, so a
resumed run, or one with other workers or another number of processes at the same global batch, sees the
same pairs in the same order.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cnclip.errors import RecipeError, StoreError
from cnclip.images.augment import AugmentPolicy, augment_image
from cnclip.images.decode import decode_image
from cnclip.images.transform import ImageTransform
from cnclip.stores.reader import StoreReader
from cnclip.text.tokenizer import tokenize_batch

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16]
CaptionSampling = Literal["every_pair", "one_per_image"]
_ORDER, _CAPTION, _AUGMENT, _VIEW = range(4)  # which use of randomness a generator serves


@dataclass(frozen=True)
class PairBatch:
    """Pairs of one process and step.

    Attributes:
        pixels: uint8 [B, 3, S, S], or None where `image_rows` stand in; normalised on the device.
        image_rows: float32 [B, D] ready-made features or cached embeddings, or None.
        token_ids: int64 [B, T], T = the longest caption of the batch.
        attention_mask: bool [B, T].
        groups: int64 [B, 2], a number for each pair's picture and one for its caption.
        image_ids: names of the pictures.
        text_ids: names of the captions.
    """

    pixels: Tensor | None
    image_rows: Tensor | None
    token_ids: Tensor
    attention_mask: Tensor
    groups: Tensor
    image_ids: tuple[str, ...]
    text_ids: tuple[str, ...]

    def to(self, device: torch.device) -> PairBatch:
        """The same batch with its tensors on `device`."""
        return PairBatch(
            pixels=None if self.pixels is None else self.pixels.to(device, non_blocking=True),
            image_rows=None if self.image_rows is None else self.image_rows.to(device, non_blocking=True),
            token_ids=self.token_ids.to(device, non_blocking=True),
            attention_mask=self.attention_mask.to(device, non_blocking=True),
            groups=self.groups.to(device, non_blocking=True),
            image_ids=self.image_ids,
            text_ids=self.text_ids,
        )


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


class PairDataset(Dataset[PairSample]):
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

    def __getitem__(self, address: tuple[int, int]) -> PairSample:
        epoch, position = address
        image_index, text_index = self._pair(epoch, position)
        text = self.store.text(text_index)
        if self.rows is None:
            image_id, image = self._picture(epoch, image_index)
        else:
            image_id = self.store.image_id(image_index)
            views = self.rows.views
            view = int(_generator(_VIEW, self.seed, epoch, image_index).integers(len(views)))
            image = torch.from_numpy(views[view][image_index].astype(np.float32))
        return PairSample(image=image, caption=text.caption, image_id=image_id, text_id=text.text_id)

    def _pair(self, epoch: int, position: int) -> tuple[int, int]:
        if self.captions == "every_pair":
            return int(self.store.pair_images[position]), int(self.store.pair_texts[position])
        first, after = int(self._starts[position]), int(self._starts[position + 1])
        generator = _generator(_CAPTION, self.seed, epoch, position)
        choice = int(generator.integers(first, after))
        if self.first_caption_share > 0 and after - first > 1:
            takes_first = generator.random() < self.first_caption_share
            choice = first if takes_first else int(generator.integers(first + 1, after))
        return int(self._images[position]), int(self._texts[choice])

    def _picture(self, epoch: int, image_index: int) -> tuple[str, Tensor]:
        assert self.transform is not None
        stored = self.store.image(image_index)
        picture = decode_image(stored.image, name=stored.image_id)
        if self.policy is not None:
            picture = augment_image(picture, _generator(_AUGMENT, self.seed, epoch, image_index), self.policy)
        return stored.image_id, self.transform.to_uint8(picture)


class GlobalBatchSampler(Sampler[list[tuple[int, int]]]):
    """This process's share of every global batch, from `first_step` to `steps`.

    Each epoch is a permutation drawn from (seed, epoch); its last, incomplete global batch is dropped. A
    global batch is cut by rank, so its pairs are the same for every number of processes.

    Args:
        length: number of samples.
        batch_size: samples per process.
        seed: of the order.
        steps: optimizer steps in all.
        first_step: where to go on.
        rank: this process.
        processes: number of processes.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        seed: int,
        steps: int,
        first_step: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.length, self.batch_size, self.seed, self.steps = length, batch_size, seed, steps
        self.first_step, self.rank, self.processes = first_step, rank, processes
        self.steps_per_epoch = steps_per_epoch(length, batch_size * processes)

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order, order_epoch = np.empty(0, np.int64), -1
        for step in range(self.first_step, self.steps):
            epoch, batch = divmod(step, self.steps_per_epoch)
            if epoch != order_epoch:
                order, order_epoch = _generator(_ORDER, self.seed, epoch).permutation(self.length), epoch
            first = (batch * self.processes + self.rank) * self.batch_size
            yield [(epoch, int(position)) for position in order[first : first + self.batch_size]]


def steps_per_epoch(length: int, global_batch_size: int) -> int:
    """Complete global batches in `length` samples.

    Raises:
        RecipeError: fewer samples than one global batch; they would become each other's negatives twice.
    """
    if length < global_batch_size:
        raise RecipeError(
            f"{length} samples do not fill one global batch of {global_batch_size}",
            fix=f"data.batch_size at most {length} divided by the number of processes",
        )
    return length // global_batch_size


def pair_loader(
    dataset: PairDataset, sampler: GlobalBatchSampler, *, workers: int, context_length: int
) -> Iterable[PairBatch]:
    """One loader for a whole run: workers start once and live through all epochs."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(context_length),
        pin_memory=torch.cuda.is_available(),
        timeout=120 if workers else 0,
        generator=torch.Generator(),
        multiprocessing_context=_start_method() if workers else None,
    )


def _start_method() -> str:
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass(frozen=True)
class _Collate:
    context_length: int

    def __call__(self, samples: list[PairSample]) -> PairBatch:
        images = torch.stack([sample.image for sample in samples])
        tokens = tokenize_batch([sample.caption for sample in samples], self.context_length)
        groups = [(_number(sample.image_id), _number(sample.caption)) for sample in samples]
        is_pixels = images.dtype == torch.uint8
        return PairBatch(
            pixels=images if is_pixels else None,
            image_rows=None if is_pixels else images,
            token_ids=tokens.token_ids,
            attention_mask=tokens.attention_mask,
            groups=torch.tensor(groups, dtype=torch.int64),
            image_ids=tuple(sample.image_id for sample in samples),
            text_ids=tuple(sample.text_id for sample in samples),
        )


def _captions_of_images(store: StoreReader) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images that have captions, where each one's captions start, and the captions' text indices."""
    order = np.argsort(store.pair_images, kind="stable")
    images, starts = np.unique(store.pair_images[order], return_index=True)
    return images, np.append(starts, len(order)), store.pair_texts[order]


def _generator(use: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([use, *numbers])


def _number(text: str) -> int:
    """A stable 64-bit number of a string, the same in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
