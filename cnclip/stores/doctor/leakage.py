"""What two stores share: a measurement on a picture that training has seen says little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnclip.stores.doctor.captions import SPECIAL_PIECES
from cnclip.stores.doctor.groups import NONE, NearPictures, rows_in_other
from cnclip.stores.doctor.pictures import DECODED
from cnclip.stores.doctor.scan import StoreSketch

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Overlap:
    """Rows of two stores that are also in the other one.

    Attributes:
        in_first, in_second: rows of the first (second) store that have an equal in the other.
        first_share, second_share: of all rows of that store.
        links: int64 [in_second, 2]: row of the second store, one of its equals in the first.
    """

    in_first: int
    in_second: int
    first_share: float
    second_share: float
    links: Places

    @property
    def share(self) -> float:
        """The larger of the two shares."""
        return max(self.first_share, self.second_share)


@dataclass(frozen=True)
class Leak:
    """What two stores share.

    Attributes:
        first, second: numbers of the stores.
        same: pictures with the same pixels.
        near: pictures that are near, those with the same pixels included.
        captions: captions of the same cleaned text, case aside.
    """

    first: int
    second: int
    same: Overlap
    near: Overlap
    captions: Overlap


def find_leaks(sketches: Sequence[StoreSketch], near: NearPictures) -> list[Leak]:
    """Compare each two stores.

    Args:
        sketches: of the stores.
        near: of their pictures, one store after the other.
    """
    starts = np.cumsum([0, *(len(sketch.pictures) for sketch in sketches)])
    leaks = []
    for second in range(len(sketches)):
        for first in range(second):
            one, two = sketches[first], sketches[second]
            same_first, same_second = _shared(_pixel_keys(one), _pixel_keys(two))
            near_first = near.neighbours[starts[first] : starts[first + 1], second] - starts[second]
            near_second = near.neighbours[starts[second] : starts[second + 1], first] - starts[first]
            # Blank pictures are near to nothing, yet the same as their copies.
            near_first = np.where(near_first < 0, same_first, near_first)
            near_second = np.where(near_second < 0, same_second, near_second)
            leaks.append(
                Leak(
                    first,
                    second,
                    same=_overlap(same_first, same_second),
                    near=_overlap(near_first, near_second),
                    captions=_overlap(*_shared(_text_keys(one), _text_keys(two))),
                )
            )
    return leaks


def _pixel_keys(sketch: StoreSketch) -> npt.NDArray[Any]:
    pictures = sketch.pictures
    return np.where(pictures["traits"] & DECODED != 0, pictures["pixel_key"], 0)


def _text_keys(sketch: StoreSketch) -> npt.NDArray[Any]:
    captions = sketch.captions
    return np.where(captions["tokens"] > SPECIAL_PIECES, captions["text_key"], 0)


def _shared(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[Places, Places]:
    """For each row of either store an equal of the other one, or NONE; the key 0 equals nothing."""
    in_second = np.where(first != 0, rows_in_other(first, second), NONE)
    in_first = np.where(second != 0, rows_in_other(second, first), NONE)
    return in_second, in_first


def _overlap(of_first: Places, of_second: Places) -> Overlap:
    rows = np.flatnonzero(of_second != NONE)
    in_first = int((of_first != NONE).sum())
    return Overlap(
        in_first=in_first,
        in_second=len(rows),
        first_share=in_first / max(1, len(of_first)),
        second_share=len(rows) / max(1, len(of_second)),
        links=np.stack((rows, of_second[rows]), axis=1),
    )
