"""Map a safetensors file into memory: tensors are views of the file until somebody writes to them.

The safetensors library maps too, but gives no way to let go of pages whose values were copied elsewhere. With
that, joining or converting a file of four gigabytes never holds the weights twice.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cnclip.errors import CheckpointError

MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit
_DAMAGED = "copy or download the file again"
_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class MappedTensors:
    """The tensors of a file.

    Attributes:
        tensors: name -> tensor on the CPU.
        release: gives the memory of one of these back to the system, once its values have been copied; a
            tensor that is not mapped is left alone. Its values stay readable, from the file.
        stated: what a file of ours says about the architecture, unchecked; None where it says nothing.
    """

    tensors: dict[str, Tensor]
    release: Pages
    stated: Any = None


class Pages(Protocol):
    """The pages of memory that show parts of a file."""

    def __call__(self, tensor: Tensor) -> None:
        """Give back those that a tensor fills, if it lies there."""

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor lies there: whoever rewrites the file then changes the tensor."""


class NoPages:
    """Of tensors in ordinary memory."""

    def __call__(self, tensor: Tensor) -> None:
        return

    def holds(self, tensor: Tensor) -> bool:
        return False


class ManyPages:
    """Of several files."""

    def __init__(self, parts: Sequence[Pages]) -> None:
        self._parts = parts

    def __call__(self, tensor: Tensor) -> None:
        for part in self._parts:
            part(tensor)

    def holds(self, tensor: Tensor) -> bool:
        return any(part.holds(tensor) for part in self._parts)


def map_safetensors(path: Path) -> MappedTensors:
    """Map every tensor of a `.safetensors` file.

    Raises:
        CheckpointError: cut, damaged, or a header that contradicts itself.
    """
    try:
        with open(path, "rb") as file:
            start, entries = _read_header(file, path)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise CheckpointError(f"cannot read the file: {error}", where=str(path)) from None
    whole = torch.frombuffer(mapped, dtype=torch.uint8)
    tensors = {}
    for name, (kind, shape, first, last) in entries.items():
        if first == last:
            tensors[name] = torch.empty(shape, dtype=_TYPES[kind])
            continue
        flat = whole[start + first : start + last]
        if flat.data_ptr() % _TYPES[kind].itemsize:  # nothing promises alignment, and a view needs it
            flat = flat.clone()
        tensors[name] = flat.view(_TYPES[kind]).view(shape)
    return MappedTensors(tensors, PageReleaser(mapped, whole))


class PageReleaser:
    """Gives back the pages of a mapped file that a tensor fills; tensors elsewhere are left alone."""

    def __init__(self, mapped: mmap.mmap, whole: Tensor) -> None:
        self._mapped = mapped
        self._start = whole.data_ptr()
        self._end = self._start + whole.numel()

    def holds(self, tensor: Tensor) -> bool:
        return self._start <= tensor.data_ptr() < self._end

    def __call__(self, tensor: Tensor) -> None:
        first = tensor.data_ptr()
        last = first + tensor.numel() * tensor.element_size()
        if not hasattr(mmap, "MADV_DONTNEED") or first < self._start or last > self._end:
            return
        page = mmap.PAGESIZE  # whole pages only: the rest may belong to neighbours
        first = -(-(first - self._start) // page) * page
        last = (last - self._start) // page * page
        if last > first:
            self._mapped.madvise(mmap.MADV_DONTNEED, first, last - first)


def _read_header(file: Any, path: Path) -> tuple[int, dict[str, tuple[str, list[int], int, int]]]:
    """Where the tensors start, and name -> (type, shape, first byte, last byte) from there."""
    file_bytes = path.stat().st_size
    prefix = file.read(8)
    size = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else -1
    if not 0 < size <= min(MAX_HEADER_BYTES, file_bytes - 8):
        raise CheckpointError("not a safetensors file, or a cut one", where=str(path), fix=_DAMAGED)
    try:
        header = json.loads(file.read(size).decode("utf-8"), object_pairs_hook=_unique)
        header.pop("__metadata__", None)
        entries = {name: _entry(name, entry) for name, entry in header.items()}
        _check_extents(entries, file_bytes - 8 - size)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"damaged safetensors header: {error}", where=str(path), fix=_DAMAGED) from None
    return 8 + size, entries


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The library takes the last of two entries of one name; a file with two is not to be trusted."""
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name occurs twice")
    return names


def _entry(name: str, entry: dict[str, Any]) -> tuple[str, list[int], int, int]:
    kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _TYPES:
        raise ValueError(f"{name} is of type {kind}")
    numbers = [*shape, first, last]
    if not all(type(number) is int and 0 <= number < 1 << 40 for number in numbers):
        raise ValueError(f"{name} has a shape or an offset that is no number")
    if math.prod(shape) * _TYPES[kind].itemsize != last - first:
        raise ValueError(f"{name}: {kind} {shape} does not take {last - first} bytes")
    return kind, shape, first, last


def _check_extents(entries: dict[str, tuple[str, list[int], int, int]], available: int) -> None:
    """Tensors follow each other without gap or overlap and fill the file, as the format demands."""
    end = 0
    for name, (_, _, first, last) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if first != end:
            raise ValueError(f"{name} begins at byte {first}, not at {end}")
        end = last
    if end != available:
        raise ValueError(f"the tensors take {end} bytes, the file has {available}")
