"""Deals the samples of some batches out anew, so that no batch holds the same picture or caption twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnclip.batches.randomness import Numbers


@dataclass(frozen=True)
class Dealt:
    """Samples in their new order.

    Attributes:
        order: int64 [n]: which sample stands at each place; batches are equal parts of it.
        misfits: samples that share a batch with their like all the same; they stand at the end of the last
            batches.
    """

    order: Numbers
    misfits: int


def deal(groups: Sequence[Numbers], batches: int) -> Dealt:
    """Deal n samples, in the order they come in, to `batches` batches of n / batches each.

    Where there is one kind of group, each group that has at most `batches` members is parted, whatever the
    others are; with two kinds the way is greedy, the largest groups first. A group with more members than
    batches cannot be parted: the members beyond come last.

    Args:
        groups: of each kind (pictures, captions), int64 [n]: samples with equal numbers should be parted.
        batches: number of them; n is a multiple of it.
    """
    count = len(groups[0])
    labels, sizes, firsts = zip(*(_labelled(group) for group in groups), strict=True)
    largest, kind = np.max(sizes, axis=0), np.argmax(sizes, axis=0)
    leading = np.choose(kind, firsts)  # a sample is dealt with the larger of its groups
    together = np.flatnonzero(largest > 1)
    order = np.lexsort((together, kind[together], leading[together], -largest[together]))
    sequence = together[order]
    chosen = np.full(count, -1, dtype=np.int64)
    chosen[sequence] = _placed([label[sequence].tolist() for label in labels], batches, count // batches)
    misfits = sequence[chosen[sequence] < 0]
    room = count // batches - np.bincount(chosen[chosen >= 0], minlength=batches)
    chosen[misfits] = _free(room, batches)[::-1][: len(misfits)]
    alone = np.flatnonzero(largest == 1)
    room = count // batches - np.bincount(chosen[chosen >= 0], minlength=batches)
    chosen[alone] = _free(room, batches)
    late = np.zeros(count, dtype=bool)
    late[misfits] = True
    return Dealt(np.lexsort((np.arange(count), late, chosen)), len(misfits))


def _labelled(group: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Of each sample, int64 [n]: its group from 0 on, the group's size, its first member."""
    _, first, label, size = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    label = label.ravel()
    return label, size[label], first[label]


def _free(room: Numbers, batches: int) -> Numbers:
    """A batch for each place that is left, in the order of the batches."""
    return np.repeat(np.arange(batches), room)


def _placed(labels: list[list[int]], batches: int, size: int) -> list[int]:
    """A batch for each sample in turn, the next that holds none of its groups and is not full; -1 = none."""
    held: list[dict[int, int]] = [{} for _ in labels]  # group -> the batches that hold it, as bits
    room, is_open = [size] * batches, (1 << batches) - 1
    chosen, following = [], 0
    for own in zip(*labels, strict=True):
        taken = 0
        for group, holders in zip(own, held, strict=True):
            taken |= holders.get(group, 0)
        allowed = is_open & ~taken
        if not allowed:
            chosen.append(-1)
            continue
        allowed = allowed >> following << following or allowed  # from `following` on, else from the first
        bit = allowed & -allowed
        batch = bit.bit_length() - 1
        for group, holders in zip(own, held, strict=True):
            holders[group] = holders.get(group, 0) | bit
        room[batch] -= 1
        if room[batch] == 0:
            is_open &= ~bit
        chosen.append(batch)
        following = (batch + 1) % batches
    return chosen
