"""How far the weights of two checkpoints lie apart: tensor by tensor, layer by layer, tower by tower."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

_PIECE = 1 << 22  # numbers that are looked at in float64 at a time
_LAYER = re.compile(
    r"^(visual\.transformer\.resblocks\.\d+|visual\.layer\d+\.\d+|visual\.attnpool|bert\.encoder\.layer\.\d+"
    r"|bert\.embeddings)\."
)
_STATISTICS = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
IMAGE, TEXT, SCALE = "image tower", "text tower", "logit_scale"


@dataclass(frozen=True)
class Drift:
    """The change of one tensor, or of several together, from a first to a second checkpoint.

    Attributes:
        name: of the tensor, the layer or the tower.
        numbers: how many there are.
        max_change: largest |change| of a number.
        squared_change: sum of squared changes.
        squared_first: sum of squares in the first checkpoint.
        squared_second: in the second.
        product: sum of products of both.
    """

    name: str
    numbers: int
    max_change: float
    squared_change: float
    squared_first: float
    squared_second: float
    product: float

    @property
    def relative_change(self) -> float:
        """Length of the change / length of the first; infinite where something came out of nothing."""
        if self.squared_first == 0:
            return math.inf if self.squared_change else 0.0
        return math.sqrt(self.squared_change / self.squared_first)

    @property
    def cosine(self) -> float:
        """Between both, seen as vectors; NaN where one is zero."""
        lengths = math.sqrt(self.squared_first) * math.sqrt(self.squared_second)
        return self.product / lengths if lengths else math.nan


@dataclass(frozen=True)
class ModelDrift:
    """What differs between two checkpoints.

    Attributes:
        tensors: those that both have in the same shape, in the order of the first.
        only_first: names that only the first has.
        only_second: names that only the second has.
        shapes: name -> both shapes, where they differ.
    """

    tensors: tuple[Drift, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def identical(self) -> bool:
        """Every tensor in both, and equal to the last bit of its value."""
        moved = any(drift.max_change != 0 for drift in self.tensors)  # NaN counts as moved
        return not (moved or self.only_first or self.only_second or self.shapes)

    def layers(self) -> list[Drift]:
        """Weights of one layer taken together, image tower first, layers counted up; no statistics."""
        return sorted(_grouped(self.weights(), layer_of), key=_reading_order)

    def towers(self) -> list[Drift]:
        """Weights of one tower taken together; no statistics."""
        return _grouped(self.weights(), tower_of)

    def weights(self) -> list[Drift]:
        """The tensors that are trained: running means and counters would drown them."""
        return [drift for drift in self.tensors if not is_statistic(drift.name)]


def compare_tensors(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> ModelDrift:
    """Compare two checkpoints under their official names, whatever types they are written in.

    Args:
        first: official name -> tensor, mapped or not; never held twice.
        second: likewise.
    """
    both = [name for name in first if name in second]
    fitting = [name for name in both if first[name].shape == second[name].shape]
    return ModelDrift(
        tensors=tuple(_drift(name, first[name], second[name]) for name in fitting),
        only_first=tuple(name for name in first if name not in second),
        only_second=tuple(name for name in second if name not in first),
        shapes={n: (tuple(first[n].shape), tuple(second[n].shape)) for n in both if n not in fitting},
    )


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to; what is in none stands for itself."""
    found = _LAYER.match(name)
    if found is not None:
        return found[1]
    if re.match(r"visual\.(conv|bn)\d\.", name):
        return "visual (stem)"
    parent = name.rpartition(".")[0]
    return name if parent in ("", "visual") else parent


def is_statistic(name: str) -> bool:
    """Whether a tensor is counted during training, not trained."""
    return _STATISTICS.search(name) is not None


def tower_of(name: str) -> str:
    """The tower that a tensor belongs to; the temperature belongs to none."""
    if name.startswith("visual."):
        return IMAGE
    return SCALE if name == "logit_scale" else TEXT


def _drift(name: str, first: Tensor, second: Tensor) -> Drift:
    largest = squared_change = squared_first = squared_second = product = 0.0
    flat_first, flat_second = first.reshape(-1), second.reshape(-1)
    for start in range(0, first.numel(), _PIECE):
        one = flat_first[start : start + _PIECE].double()
        other = flat_second[start : start + _PIECE].double()
        change = other - one
        highest = change.abs().max().item()
        largest = highest if math.isnan(highest) else max(largest, highest)
        squared_change += change.dot(change).item()
        squared_first += one.dot(one).item()
        squared_second += other.dot(other).item()
        product += one.dot(other).item()
    return Drift(name, first.numel(), largest, squared_change, squared_first, squared_second, product)


def _reading_order(drift: Drift) -> tuple[int, list[tuple[str, int]]]:
    tower = (IMAGE, TEXT, SCALE).index(tower_of(drift.name.replace(" ", ".")))
    return tower, [(word, int(number or 0)) for word, number in re.findall(r"(\D+)(\d*)", drift.name)]


def _grouped(drifts: Iterable[Drift], group_of: Callable[[str], str]) -> list[Drift]:
    groups: dict[str, list[Drift]] = {}
    for drift in drifts:
        groups.setdefault(group_of(drift.name), []).append(drift)
    return [_together(name, parts) for name, parts in groups.items()]


def _together(name: str, parts: list[Drift]) -> Drift:
    return Drift(
        name=name,
        numbers=sum(part.numbers for part in parts),
        max_change=max((part.max_change for part in parts), key=lambda v: math.inf if math.isnan(v) else v),
        squared_change=math.fsum(part.squared_change for part in parts),
        squared_first=math.fsum(part.squared_first for part in parts),
        squared_second=math.fsum(part.squared_second for part in parts),
        product=math.fsum(part.product for part in parts),
    )
