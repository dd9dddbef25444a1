"""Rows that are the same: groups by equal keys, groups by nearness, and rows that two stores share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnclip.stores.doctor.near_hash import near_pairs
from cnclip.stores.doctor.pictures import BLANK, DECODED, Rows

Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NONE = -1


@dataclass(frozen=True)
class Groups:
    """Rows in groups of two and more.

    Attributes:
        labels: int64 [N]: a number for each row's group; rows of no group have NONE.
        sizes: int64 [groups].
    """

    labels: Places
    sizes: Places

    @property
    def extra(self) -> int:
        """Rows that would go if each group kept one."""
        return int(self.sizes.sum()) - len(self.sizes)

    def largest(self, most: int) -> Iterator[Places]:
        """The rows of the largest groups, those of equal size in order of their first row."""
        members = np.flatnonzero(self.labels != NONE)
        members = members[np.argsort(self.labels[members], kind="stable")]
        ends = np.cumsum(self.sizes)
        for group in np.argsort(-self.sizes, kind="stable")[:most]:
            yield members[ends[group] - self.sizes[group] : ends[group]]


def groups_by_key(keys: npt.NDArray[Any], usable: Mask) -> Groups:
    """Rows with equal keys.

    Args:
        keys: [N].
        usable: bool [N]; other rows are in no group.
    """
    rows = np.flatnonzero(usable)
    _, first, numbers, counts = np.unique(
        keys[rows], return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(np.where(counts > 1, first, len(rows)), kind="stable")  # by first row, singles last
    renumbered = np.full(len(counts), NONE)
    groups = order[: int((counts > 1).sum())]
    renumbered[groups] = np.arange(len(groups))
    labels = np.full(len(keys), NONE)
    labels[rows] = renumbered[numbers]
    return Groups(labels, counts[groups])


@dataclass(frozen=True)
class NearPictures:
    """Which pictures of several stores, one after the other, are near to which.

    Attributes:
        groups: chains of near pictures; the same pixels are near, too.
        neighbours: int64 [N, stores]: some picture of the store that is near, or NONE.
        crowded: comparisons that were left out in crowded buckets, 0 in ordinary data.
    """

    groups: Groups
    neighbours: Places
    crowded: int


def find_near(pictures: Rows, stores: Places, store_count: int, radius: int) -> NearPictures:
    """Find near pictures, see near_hash; blank pictures are near to nothing.

    Args:
        pictures: PICTURE [N].
        stores: int64 [N]: each picture's store.
        store_count: number of stores.
        radius: bits in which near hashes may differ.
    """
    traits = pictures["traits"]
    usable = np.flatnonzero((traits & DECODED != 0) & (traits & BLANK == 0))
    # The same pixels are compared once for each store: thousands of copies would meet thousands of copies.
    order = usable[np.lexsort((usable, stores[usable], pictures["pixel_key"][usable]))]
    keys, owners = pictures["pixel_key"][order], stores[order]
    same_pixels = np.concatenate(([False], keys[1:] == keys[:-1]))[: len(order)]
    copies = same_pixels & np.concatenate(([False], owners[1:] == owners[:-1]))[: len(order)]
    chains = _Chains(len(pictures))
    chains.join(order[:-1][same_pixels[1:]], order[1:][same_pixels[1:]])
    kept = order[~copies]
    neighbours = np.full((len(pictures), store_count), NONE)
    crowded = 0
    for first, second, left_out in near_pairs(
        pictures["near_key"][kept], np.ascontiguousarray(pictures["colours"][kept]), radius
    ):
        first, second = kept[first], kept[second]
        neighbours[first, stores[second]] = second
        neighbours[second, stores[first]] = first
        chains.join(first, second)
        crowded += left_out
    spread = np.maximum.accumulate(np.where(copies, 0, np.arange(len(order))))
    neighbours[order] = neighbours[order[spread]]  # a copy has the neighbours of the one that was compared
    labels = chains.roots()
    return NearPictures(groups_by_key(labels, np.ones(len(labels), dtype=bool)), neighbours, crowded)


def rows_in_other(keys: npt.NDArray[Any], other: npt.NDArray[Any]) -> Places:
    """For each key the place of an equal one in `other`, or NONE.

    Args:
        keys: [N].
        other: [M].
    """
    if not len(other):
        return np.full(len(keys), NONE)
    order = np.argsort(other, kind="stable")
    places = np.minimum(np.searchsorted(other[order], keys), len(other) - 1)
    return np.where(other[order][places] == keys, order[places], NONE)


class _Chains:
    """Union-find over the numbers below `count`; a chain's root is its smallest number."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def join(self, first: Places, second: Places) -> None:
        """Make one chain of each two numbers."""
        apart = self._above(first) != self._above(second)  # most pairs of a dense group say nothing new
        for one, two in zip(first[apart].tolist(), second[apart].tolist(), strict=True):
            one, two = self._root(one), self._root(two)
            self._parents[max(one, two)] = min(one, two)

    def roots(self) -> Places:
        """int64 [count]: the root of each number."""
        return self._above(np.arange(len(self._parents)))

    def _above(self, numbers: Places) -> Places:
        while True:
            parents = self._parents[numbers]
            if (parents == numbers).all():
                return parents
            numbers = parents

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = int(parents[number])
        return number
