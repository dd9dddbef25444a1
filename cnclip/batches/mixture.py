"""Several stores as one: which store, and which of its samples, stands at a place of an epoch.

An epoch has as many places as the stores have samples. Without weights each store gets as many of them as it
has samples; with weights its share of them. A permutation of the places, another one each epoch, says which
place is the first, the second … of a store's share; and over the epochs each store's shares, laid end to end,
run through the store again and again, each time in a new order. So proportions hold in every epoch to the
sample, a store is used up before any of its samples comes again, and nothing is remembered between batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnclip.batches.permutation import Permutation
from cnclip.batches.randomness import MIX, ORDER, Numbers
from cnclip.errors import RecipeError

Address = tuple[int, int, int]  # store, its own epoch, position


@dataclass(frozen=True)
class Addresses:
    """Where n samples lie.

    Attributes:
        stores: int64 [n], their stores' numbers.
        epochs: int64 [n], which pass over its store each belongs to.
        positions: int64 [n], in the store.
    """

    stores: Numbers
    epochs: Numbers
    positions: Numbers

    def __len__(self) -> int:
        return len(self.stores)

    def at(self, order: Numbers) -> Addresses:
        """Those at int64 [m] places, in that order."""
        return Addresses(self.stores[order], self.epochs[order], self.positions[order])

    def each(self) -> list[Address]:
        """One tuple a sample."""
        columns = (self.stores.tolist(), self.epochs.tolist(), self.positions.tolist())
        return list(zip(*columns, strict=True))


class Mixture:
    """The order of samples of one or several stores.

    Args:
        lengths: samples of each store.
        seed: of the order.
        weights: relative number of samples of each store in an epoch; None = as many as it has.

    Raises:
        RecipeError: weights that do not fit the stores.
    """

    def __init__(self, lengths: Sequence[int], *, seed: int, weights: Sequence[float] | None = None) -> None:
        self.lengths = tuple(lengths)
        self.length = sum(lengths)
        self.counts = self.lengths if weights is None else _shares(self.length, weights, len(lengths))
        self._ends = np.cumsum(self.counts)
        self._places = Permutation(self.length, MIX, seed)
        self._orders = [Permutation(length, ORDER, seed, store) for store, length in enumerate(self.lengths)]

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self.length

    def addresses(self, epoch: int, first: int, count: int) -> Addresses:
        """The samples at `count` places of an epoch, from `first` on."""
        epochs = np.full(count, epoch, dtype=np.int64)
        places = self._places.at(np.arange(first, first + count, dtype=np.int64), epochs)
        stores = np.searchsorted(self._ends, places, side="right")
        epochs, positions = np.empty_like(places), np.empty_like(places)
        for store, order in enumerate(self._orders):
            own = np.flatnonzero(stores == store)
            within = places[own] - (self._ends[store] - self.counts[store])
            epochs[own], turns = np.divmod(epoch * self.counts[store] + within, order.length)
            positions[own] = order.at(turns, epochs[own])
        return Addresses(stores, epochs, positions)


def _shares(total: int, weights: Sequence[float], stores: int) -> tuple[int, ...]:
    """`total` in proportion to the weights: rounded down, what is left to the largest remainders."""
    if len(weights) != stores or not all(0.0 < weight < float("inf") for weight in weights):
        raise RecipeError(
            f"data.weights={list(weights)} does not fit {stores} training stores",
            fix="one number above 0 for each store of data.train, or leave data.weights out",
        )
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(stores), key=lambda store: shares[store] - exact[store])
    for store in by_remainder[: total - sum(shares)]:
        shares[store] += 1
    if min(shares) == 0:
        raise RecipeError(
            f"store {shares.index(0) + 1} of data.train would get no sample at all",
            fix=f"a larger number in its place of data.weights={list(weights)}",
        )
    return tuple(shares)
