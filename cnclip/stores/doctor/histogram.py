"""Numbers in bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Histogram:
    """How many values lie in each bin.

    Attributes:
        edges: n + 1 numbers; a bin holds its lower edge, and the last bin also all values above.
        counts: n numbers.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def labels(self) -> list[str]:
        """`0–31`, `32–63`, … for whole edges, else `1–1.25`; the last is `≥ 4096`."""
        whole = all(edge == int(edge) for edge in self.edges)
        spans = zip(self.edges[:-2], self.edges[1:-1], strict=True)
        names = [
            f"{low:g}" if whole and high - low == 1 else f"{low:g}–{high - whole:g}" for low, high in spans
        ]
        return [*names, f"≥ {self.edges[-2]:g}"]


def histogram(values: npt.NDArray[Any], edges: Sequence[float]) -> Histogram:
    """Count values by bins.

    Args:
        values: [N], none below the first edge.
        edges: lower edges of the bins, ascending.
    """
    places = np.searchsorted(np.asarray(edges), values, side="right") - 1
    counts = np.bincount(places, minlength=len(edges))
    last = float(values.max()) if len(values) else edges[-1]
    return Histogram((*map(float, edges), max(float(edges[-1]), last)), tuple(int(count) for count in counts))
