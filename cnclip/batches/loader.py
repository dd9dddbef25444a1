"""Samples into batches, by workers that outlive a polite request to stop."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cnclip.batches.dataset import PairDataset, PairSample
from cnclip.batches.order import GlobalBatchSampler
from cnclip.errors import CnclipError
from cnclip.text.tokenizer import tokenize_batch

_WORKER_TIMEOUT_SECONDS = 600  # a worker that is silent for longer hangs


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

    def pin_memory(self) -> PairBatch:
        """The same batch in memory from which a GPU copies without waiting; the loader calls this."""
        return PairBatch(
            pixels=None if self.pixels is None else self.pixels.pin_memory(),
            image_rows=None if self.image_rows is None else self.image_rows.pin_memory(),
            token_ids=self.token_ids.pin_memory(),
            attention_mask=self.attention_mask.pin_memory(),
            groups=self.groups.pin_memory(),
            image_ids=self.image_ids,
            text_ids=self.text_ids,
        )

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


def pair_loader(
    dataset: PairDataset, sampler: GlobalBatchSampler, *, workers: int, context_length: int
) -> Iterator[PairBatch]:
    """Batches of a whole run: workers start once and live through all epochs.

    Raises:
        StoreError: a record is damaged.
        ImageError: a picture cannot be decoded.
    """
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(context_length),
        pin_memory=torch.cuda.is_available(),
        timeout=_WORKER_TIMEOUT_SECONDS if workers else 0,
        generator=torch.Generator(),
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_outlive_stop_requests if workers else None,
    )
    for batch in loader:
        if isinstance(batch, CnclipError):
            raise batch
        yield batch


def _outlive_stop_requests(_worker: int) -> None:
    """Ctrl-C and a launcher's SIGTERM reach workers too; they live on until the loop has saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@dataclass(frozen=True)
class _Collate:
    context_length: int

    def __call__(self, found: list[PairSample | CnclipError]) -> PairBatch | CnclipError:
        samples = [sample for sample in found if isinstance(sample, PairSample)]
        errors = [error for error in found if isinstance(error, CnclipError)]
        if errors:
            return errors[0]
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


def _number(text: str) -> int:
    """A stable 64-bit number of a string, the same in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
