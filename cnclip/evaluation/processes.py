"""The processes of a measuring run: each takes whole batches, and their rows come back to the main one.

A batch holds the same pictures whatever the number of processes, so each row is the outcome of the same
product on the same numbers: with as many threads per process, rows and ranks are equal bit for bit. No
picture is read twice and none is added to make the shares even.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist

from cnclip.errors import PeerError, RecipeError
from cnclip.evaluation.rows import Indices, Rows

Value = TypeVar("Value")
_MEETING = timedelta(minutes=10)  # for all to start; a peer that is not there by then does not come
_PATIENCE = timedelta(days=7)  # the main process ranks and writes while the others wait for the next model


@dataclass(frozen=True)
class Processes:
    """This process and the others; with one process every call returns at once.

    Attributes:
        rank: number of this process; 0 is the main one, which alone prints and writes.
        count: how many there are.
        group: that of torch.distributed in which they talk; None with one process.
    """

    rank: int = 0
    count: int = 1
    group: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def share(self, items: int, batch_size: int, *, rank: int | None = None) -> Indices:
        """Numbers of the items that a process takes: every count-th batch, whole. int64 [its items].

        Args:
            items: how many there are for all processes.
            batch_size: items per batch; the last batch may be smaller.
            rank: of which process; None is this one.
        """
        numbers = np.arange(items)
        taken: Indices = numbers[numbers // batch_size % self.count == (self.rank if rank is None else rank)]
        return taken

    def from_main(self, value: Value) -> Value:
        """The main process's value, on every process."""
        if self.count == 1:
            return value
        values = [value]
        with _broken_links_named():
            dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The block runs on the main process, then on the others: what it downloads is there for them."""
        if not self.is_main:
            self.from_main(None)
        yield
        if self.is_main:
            self.from_main(None)

    def collect(self, rows: Rows, items: int, batch_size: int) -> Rows | None:
        """The rows of all items, in their order, on the main process; None on the others.

        Args:
            rows: float32 [own items, D], those of `share(items, batch_size)`.
            items, batch_size: as for `share`.

        Raises:
            PeerError: another process has gone.
        """
        if self.count == 1:
            return rows
        with _broken_links_named():
            if not self.is_main:
                if len(rows):
                    dist.send(torch.from_numpy(np.ascontiguousarray(rows)), dst=0, group=self.group)
                return None
            whole = np.empty((items, rows.shape[1]), dtype=np.float32)
            whole[self.share(items, batch_size)] = rows
            for peer in range(1, self.count):
                places = self.share(items, batch_size, rank=peer)
                if len(places):
                    received = torch.empty((len(places), rows.shape[1]))
                    dist.recv(received, src=peer, group=self.group)
                    whole[places] = received.numpy()
        return whole


def join_processes() -> Processes:
    """Meet the processes that a launcher such as torchrun or `accelerate launch` started beside this one.

    Raises:
        PeerError: they cannot be reached.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    with _broken_links_named():
        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=_MEETING)
        group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    return Processes(dist.get_rank(), dist.get_world_size(), group)


def refuse_company(verb: str) -> None:
    """Stop a verb that one process does alone, where a launcher started several.

    Raises:
        RecipeError: each of them would do all of the work, and write the same files at the same time.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1:
        raise RecipeError(
            f"cnclip {verb} runs in one process, {count} were started",
            fix="start it without accelerate launch or torchrun",
        )


def device_of(wanted: str, processes: Processes) -> str | None:
    """The device of this process: with several processes `auto` gives each a GPU of its own.

    Returns:
        a device's name; None lets the loader choose.
    """
    if wanted != "auto":
        return wanted
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes"}:
        return "cpu"
    if processes.count > 1 and torch.cuda.is_available():
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return None


def taken(values: Sequence[Value], places: Indices) -> list[Value]:
    """The values at some places."""
    return [values[int(place)] for place in places]


@contextmanager
def _broken_links_named() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # ValueError: a launcher that did not say where to meet
        raise PeerError(
            "the other processes of this run cannot be reached",
            where=str(error).splitlines()[0][:200],
            fix="their own messages say why; on CPU: ACCELERATE_USE_CPU=true torchrun --nproc_per_node N -m"
            " cnclip eval retrieval …",
        ) from error
