"""From numbers to pixels: the range of an axis, its ticks, its scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_TICKS = 7
_STEPS = (1.0, 2.0, 2.5, 5.0)
_NEAR_ZERO = 0.3  # an axis begins at 0 where its lowest value is below this share of its highest


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        low, high: its ends, in the unit of the values; low < high, and 0 < low where it is logarithmic.
        start, end: their pixels.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def pixel(self, value: float) -> float:
        """Where a value stands; values beyond the ends stand at the ends."""
        low, high, place = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return self.start + (place - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values from end to end."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def linear_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten, at most `most` of them, from low to high."""
    step = _step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 10) + 0.0 for place in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from low to high; powers only where that would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for signs in ((1, 2, 5), (1,)):
        found = [float(f"{sign}e{power}") for power in powers for sign in signs]
        inside = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= 2 * MOST_TICKS:
            break
    return inside or [low, high]


def rounded_ends(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis around values: round numbers; 0 where the values come near it; never equal.

    Args:
        values: finite, at least one.
    """
    low, high = min(values), max(values)
    if 0 <= low < _NEAR_ZERO * high:
        low = 0.0
    if high - low < 1e-9:
        room = abs(high) / 2 or 1.0
        low, high = low - room, high + room
    step = _step(high - low, MOST_TICKS)
    return math.floor(low / step + 1e-9) * step + 0.0, math.ceil(high / step - 1e-9) * step + 0.0


def short_number(value: float) -> str:
    """A number with as many figures as a reader needs."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _step(span: float, most: int) -> float:
    power = 10.0 ** math.floor(math.log10(span / most))
    steps = [sign * power * factor for factor in (1, 10) for sign in _STEPS]
    return next(step for step in steps if span / step <= most)
