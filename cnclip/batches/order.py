"""Which sample comes when: a permutation of each epoch, cut into global batches, cut by rank."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from cnclip.errors import RecipeError

ORDER, CAPTION, AUGMENT, VIEW = range(4)  # which use of randomness a generator serves


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
                order, order_epoch = generator(ORDER, self.seed, epoch).permutation(self.length), epoch
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


def generator(use: int, *numbers: int) -> np.random.Generator:
    """A generator that depends on its use (ORDER, CAPTION …) and the numbers, and on nothing else."""
    return np.random.default_rng([use, *numbers])
