"""Pictures that must not be parted: equal, near, or linked by a caption, and whatever these lead to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cnclip.stores.derived.rows import NONE, Places
from cnclip.stores.doctor.groups import find_near, groups_by_key
from cnclip.stores.doctor.pictures import DECODED, Rows


def picture_components(
    pictures: Rows, pair_images: Places, pair_texts: Places, text_count: int, *, near: int
) -> tuple[Places, int]:
    """(int64 [N]: a number for each picture, the same where they must stay together, crowded comparisons).

    Args:
        pictures: PICTURE [N] of one store.
        pair_images, pair_texts: its pairs.
        text_count: number of its captions.
        near: bits in which the hashes of near pictures differ at most; 0 = only the same pixels or bytes.
    """
    count, crowded = len(pictures), 0
    decoded = pictures["traits"] & DECODED != 0
    groups = [
        groups_by_key(pictures["file_key"], pictures["file_bytes"] > 0),
        groups_by_key(pictures["pixel_key"], decoded),
    ]
    if near:
        found = find_near(pictures, np.zeros(count, dtype=np.int64), 1, near)
        groups.append(found.groups)
        crowded = found.crowded
    first, second, nodes = [pair_images], [count + pair_texts], count + text_count
    for group in groups:  # a node for each group, linked to its members
        members = np.flatnonzero(group.labels != NONE)
        first.append(members)
        second.append(nodes + group.labels[members])
        nodes += len(group.sizes)
    return connected(nodes, first, second)[:count], crowded


def connected(count: int, first: Sequence[Places], second: Sequence[Places]) -> Places:
    """int64 [count]: the smallest number of each number's component.

    Roots are hooked to the smallest root that a link leads to, and paths are halved until nothing moves.

    Args:
        count: of nodes.
        first, second: the ends of the links, in parts.
    """
    one, two = np.concatenate(first), np.concatenate(second)
    labels = np.arange(count)
    while True:
        low = np.minimum(labels[one], labels[two])
        hooked = labels.copy()
        np.minimum.at(hooked, labels[one], low)
        np.minimum.at(hooked, labels[two], low)
        while True:
            shorter: npt.NDArray[np.int64] = hooked[hooked]
            if (shorter == hooked).all():
                break
            hooked = shorter
        if (hooked == labels).all():
            return labels
        labels = hooked
