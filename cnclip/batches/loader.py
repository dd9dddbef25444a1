"""Samples into batches, by workers that outlive a polite request to stop."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cnclip.batches.dataset import PairDataset, PairSample
from cnclip.batches.order import GlobalBatchSampler
from cnclip.errors import CnclipError, ResourceError
from cnclip.text.tokenizer import tokenize_batch

StartMethod = Literal["spawn", "fork", "forkserver"]

_BATCHES_AHEAD = 2  # prepared by each worker; so many wait in memory
_SILENCE_SECONDS = 600.0  # a worker that is silent for longer hangs
_FAREWELL_SECONDS = 1.0  # for the lock of the event that asks workers to leave
_END_SECONDS = 2.0  # from a broken connection to the end of the process that held it
_LOST = re.compile(r"DataLoader worker \(pid(?:\(s\))? (?P<pids>[\d, ]+)\)|DataLoader timed out after")


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
    dataset: PairDataset,
    sampler: GlobalBatchSampler,
    *,
    workers: int,
    context_length: int,
    start_method: StartMethod = "spawn",
    silence_seconds: float = _SILENCE_SECONDS,
) -> Iterator[PairBatch]:
    """Batches of a whole run: workers start once and live through all epochs.

    Args:
        dataset: the samples.
        sampler: which of them come when.
        workers: processes that prepare batches; 0 = this one does.
        context_length: most tokens of a caption.
        start_method: how workers start.
        silence_seconds: how long a batch may take before its worker counts as hung.

    Raises:
        StoreError: a record is damaged.
        ImageError: a picture cannot be decoded.
        ResourceError: a worker was killed or hangs.
    """
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(context_length),
        pin_memory=torch.cuda.is_available(),
        timeout=silence_seconds if workers else 0,
        generator=torch.Generator(),
        multiprocessing_context=start_method if workers else None,
        prefetch_factor=_BATCHES_AHEAD if workers else None,
        worker_init_fn=_outlive_stop_requests if workers else None,
    )
    others = set(active_children())
    batches: Any = iter(loader)
    own = set(active_children()) - others
    if workers:
        batches._workers_done_event = _Farewell(batches._workers_done_event)
    kill = Finalize(None, _kill, args=(own,), exitpriority=0)
    try:
        for batch in batches:
            if isinstance(batch, CnclipError):
                raise batch
            yield batch
    except (RuntimeError, OSError, EOFError) as error:
        lost = lost_worker(error) if isinstance(error, RuntimeError) else _cut_off(error, own)
        if lost is None:
            raise
        kill()
        raise lost from error
    finally:
        batches = None  # the loader asks its workers to leave
        kill()


class _Farewell:
    """The loader's request that workers leave, which one that was killed with its lock cannot hold up.

    The workers keep the event itself; only this process, which alone makes the request, asks through here.

    Args:
        event: a multiprocessing.Event.
    """

    def __init__(self, event: Any) -> None:
        self._event = event
        self._said = False

    def is_set(self) -> bool:
        """Whether the request has been made."""
        return self._said

    def set(self) -> None:
        """Make it, unless the lock cannot be had: then the workers are killed without being asked."""
        self._said = True
        if self._event._cond.acquire(timeout=_FAREWELL_SECONDS):
            try:
                self._event._flag.acquire(block=False)
                self._event._flag.release()
                self._event._cond.notify_all()
            finally:
                self._event._cond.release()


def lost_worker(error: RuntimeError) -> ResourceError | None:
    """What a loader's error means where it says that a worker is gone or silent.

    The death of a worker is a signal to the main process, whatever it is doing then: the error may come out
    of any line of it, not only out of the loader.
    """
    found = _LOST.search(str(error))
    if found is None:
        return None
    if found["pids"] is None:
        return ResourceError(
            "a loader worker hangs: no batch for a long time",
            where=str(error).splitlines()[0][:200],
            fix="look at the disk or network file system the store lies on; data.workers=0 shows the place",
        )
    return _gone(found["pids"], str(error).splitlines()[0][:200])


def _gone(workers: str, where: str) -> ResourceError:
    return ResourceError(
        f"loader worker {workers} is gone: killed or crashed, most often because memory ran out",
        where=where,
        fix="fewer data.workers or a smaller data.batch_size; the same command then goes on",
    )


def _cut_off(error: Exception, workers: set[BaseProcess]) -> ResourceError | None:
    """What a broken connection means: the worker at its other end died while it handed a batch over."""
    try:
        ended = wait([worker.sentinel for worker in workers], timeout=_END_SECONDS) if workers else []
    except RuntimeError as told:  # the signal of its death comes now
        return lost_worker(told)
    gone = [str(worker.pid) for worker in workers if worker.sentinel in ended]
    return _gone(", ".join(gone), f"while a batch was handed over: {error!r}") if gone else None


def _kill(workers: set[BaseProcess]) -> None:
    """End workers that are still there: one that hangs hears nothing gentler, and an exit waits for it."""
    alive = [worker for worker in workers if worker.is_alive()]
    if not alive:
        return
    in_main = threading.current_thread() is threading.main_thread()
    former = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main else None  # it would raise for each
    for worker in alive:
        worker.kill()
        worker.join()
    if in_main:
        signal.signal(signal.SIGCHLD, former)


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
        is_pixels = images.dtype == torch.uint8
        return PairBatch(
            pixels=images if is_pixels else None,
            image_rows=None if is_pixels else images,
            token_ids=tokens.token_ids,
            attention_mask=tokens.attention_mask,
            groups=torch.tensor([sample.groups for sample in samples], dtype=torch.int64),
            image_ids=tuple(sample.image_id for sample in samples),
            text_ids=tuple(sample.text_id for sample in samples),
        )
