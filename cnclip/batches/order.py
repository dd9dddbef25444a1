"""Which sample comes when: a computed order of each epoch, cut into global batches, cut by rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch.utils.data import Sampler

from cnclip.batches.distinct import deal
from cnclip.batches.mixture import Address, Addresses, Mixture
from cnclip.batches.randomness import Numbers
from cnclip.errors import RecipeError

WINDOW = 8  # global batches that exchange samples so that none holds a picture or caption twice

Groups = Callable[[Addresses], Sequence[Numbers]]


class GlobalBatchSampler(Sampler[list[Address]]):
    """This process's share of every global batch, from `first_step` to `steps`.

    The last, incomplete global batch of an epoch is dropped. A global batch is cut by rank, so its pairs are
    the same for every number of processes.

    Args:
        mixture: the order of the samples.
        batch_size: samples per process.
        steps: optimizer steps in all.
        first_step: where to go on.
        rank: this process.
        processes: number of processes.
        groups: numbers of pictures, captions or both of some samples, see `deal`: they are then exchanged
            within windows of 8 global batches, so that no batch holds two alike where that is possible;
            None = batches as they come.
    """

    def __init__(
        self,
        mixture: Mixture,
        *,
        batch_size: int,
        steps: int,
        first_step: int = 0,
        rank: int = 0,
        processes: int = 1,
        groups: Groups | None = None,
    ) -> None:
        self.mixture, self.batch_size, self.steps = mixture, batch_size, steps
        self.first_step, self.rank, self.processes, self.groups = first_step, rank, processes, groups
        self.steps_per_epoch = steps_per_epoch(len(mixture), batch_size * processes)
        self.dealt = self.misfits = 0  # samples that went through `deal`, and those that met their like

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __iter__(self) -> Iterator[list[Address]]:
        step = self.first_step
        while step < self.steps:
            epoch, batch = divmod(step, self.steps_per_epoch)
            if self.groups is None:
                yield self._share(epoch, batch)
                step += 1
            else:
                for addresses in self._window(epoch, batch, self.groups):
                    yield addresses
                    step += 1
                    if step == self.steps:
                        return

    def _share(self, epoch: int, batch: int) -> list[Address]:
        first = (batch * self.processes + self.rank) * self.batch_size
        return self.mixture.addresses(epoch, first, self.batch_size).each()

    def _window(self, epoch: int, batch: int, groups: Groups) -> Iterator[list[Address]]:
        """The shares of batch number `batch` of an epoch and of those after it in its window."""
        first = batch // WINDOW * WINDOW
        batches = min(WINDOW, self.steps_per_epoch - first)
        size = self.batch_size * self.processes
        found = self.mixture.addresses(epoch, first * size, batches * size)
        dealt = deal(groups(found), batches)
        self.dealt += len(found)
        self.misfits += dealt.misfits
        for number in range(batch - first, batches):
            start = (number * self.processes + self.rank) * self.batch_size
            yield found.at(dealt.order[start : start + self.batch_size]).each()


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


__all__ = ["WINDOW", "GlobalBatchSampler", "Groups", "steps_per_epoch"]
