"""The processes of a run waiting for each other: patiently where one of them has long work to do alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

Value = TypeVar("Value")
_PATIENCE = timedelta(days=7)


class Peers:
    """All processes of this run; with one process every call returns at once.

    Steps of the loop fail after the process group's own short timeout, since there a silent peer is a dead
    one. Embedding a store or validating on one process may take hours: waiting for that has its own group.

    Args:
        processes: how many; every process makes this object at the same point of the program.
    """

    def __init__(self, processes: int) -> None:
        self._group = dist.new_group(backend="gloo", timeout=_PATIENCE) if processes > 1 else None

    def wait(self) -> None:
        """Until every process is here."""
        if self._group is not None:
            dist.barrier(self._group)

    def from_main(self, value: Value | None) -> Value | None:
        """The main process's value, on every process; it may come late."""
        if self._group is None:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._group)
        return values[0]
