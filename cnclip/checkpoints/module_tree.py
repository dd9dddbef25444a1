"""Read the pickle in a TorchScript archive without running it.

It describes a tree of modules. The machine here knows tensors, lists, dicts and empty shells in place of
modules; whatever else the pickle names is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from cnclip.errors import RefusedError

_OPCODES = frozenset(  # all that torch's own writer of archives makes use of
    (
        "PROTO", "GLOBAL", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MARK", "STOP", "NONE",
        "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
        "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
        "EMPTY_DICT", "SETITEM", "SETITEMS", "BINPERSID", "NEWOBJ", "BUILD", "REDUCE",
    )
)  # fmt: skip
_STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip


def read_module_tree(
    pickled: bytes, whole: Tensor, extents: Mapping[str, tuple[int, int]], *, where: str
) -> dict[str, Tensor]:
    """Dotted name -> tensor of every tensor that hangs in the tree, as views of the file's bytes.

    Attributes that are tensors without being weights come too; a module that hangs in two places is listed
    at one of them.

    Args:
        pickled: content of the archive's `data.pkl`.
        whole: uint8 [bytes of the file].
        extents: key of a storage -> (first byte, last byte).
        where: the file, for errors.

    Raises:
        RefusedError: the pickle asks for anything but tensors.
        ValueError, LookupError, TypeError, pickle.UnpicklingError …: damaged.
    """
    _check_opcodes(pickled, where)
    return dict(_walk(_TreeReader(pickled, whole, extents, where).load()))


def _check_opcodes(pickled: bytes, where: str) -> None:
    """Only what torch writes, and no index so large that the memo for it would fill the memory."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name not in _OPCODES:
            raise RefusedError(f"the archive's pickle uses {opcode.name} and was not run", where=where)
        if opcode.name == "LONG_BINPUT" and isinstance(argument, int) and argument > len(pickled):
            raise RefusedError("the archive's pickle numbers what it does not have", where=where)


class _Fixed:
    """An object that a pickle can hand on but not change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise TypeError("only a module has a state")


class _Shell:
    """What stands for an object of a class that the archive defines: it keeps the state, and does nothing."""

    __slots__ = ("state",)
    state: object

    def __new__(cls, *_arguments: object) -> _Shell:
        shell = super().__new__(cls)
        shell.state = None
        return shell

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Held(_Fixed):
    """A tensor out of the pickle's reach: its own `__setstate__` would follow the pickle's orders."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Function(_Fixed):
    """A harmless thing under the name of a function that torch's writer calls."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self.call = call

    def __call__(self, *arguments: object) -> object:
        return self.call(*arguments)


class _NumberType(_Fixed):
    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _TreeReader(pickle.Unpickler):
    """Turns the pickle into shells, dicts, lists, numbers and held tensors.

    Args:
        pickled: content of `data.pkl`, its opcodes checked.
        whole: uint8 [bytes of the file].
        extents: key of a storage -> (first byte, last byte).
        where: the file, for errors.
    """

    def __init__(
        self, pickled: bytes, whole: Tensor, extents: Mapping[str, tuple[int, int]], where: str
    ) -> None:
        super().__init__(io.BytesIO(pickled))
        self._whole = whole
        self._extents = extents
        self._where = where
        self._known: dict[tuple[str, str], _Fixed] = {
            ("torch._utils", "_rebuild_tensor_v2"): _Function(_strided),
            ("torch._utils", "_rebuild_parameter"): _Function(lambda tensor, *_: tensor),
            ("collections", "OrderedDict"): _Function(dict),
            ("torch.jit._pickle", "restore_type_tag"): _Function(lambda value, _: value),
            ("torch", "device"): _Function(lambda *_: None),
            **{("torch", name): _NumberType(dtype) for name, dtype in _STORAGES.items()},
        }
        for kind in ("int", "tensor", "double", "bool"):
            self._known["torch.jit._pickle", f"build_{kind}list"] = _Function(lambda values: values)

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Shell
        if (module, name) in self._known:
            return self._known[module, name]
        raise RefusedError(
            f"the archive asks for {module}.{name} and was not run",
            where=self._where,
            fix="get the file from its publisher again; this one may be hostile",
        )

    def persistent_load(self, pid: Any) -> _Held:
        """The numbers of a storage: [n] of its type, a view of the file where they are aligned."""
        tag, kind, key, _, count = pid  # the device where it lay, often a GPU, does not matter
        if tag != "storage" or type(kind) is not _NumberType or type(count) is not int:
            raise ValueError("a reference to something that is no storage")
        first, last = self._extents[key]
        size = count * kind.dtype.itemsize
        if not 0 <= size <= last - first:
            raise ValueError(f"storage {key} has {last - first} bytes, not {size}")
        flat = self._whole[first : first + size]
        if flat.data_ptr() % kind.dtype.itemsize:
            flat = flat.clone()
        return _Held(flat.view(kind.dtype))


def _strided(storage: object, offset: object, shape: object, strides: object, *_: object) -> _Held:
    """A tensor over the numbers of a storage, and over nothing else."""
    if type(storage) is not _Held or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor without storage, shape and strides")
    numbers = [number for number in (offset, *shape, *strides) if type(number) is int and number >= 0]
    if len(numbers) != 1 + len(shape) + len(strides) or len(shape) != len(strides):
        raise ValueError("a shape or a stride that is no number")
    flat, start = storage.tensor, numbers[0]
    count = math.prod(shape)
    end = start + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if count and end > len(flat):
        raise ValueError(f"a tensor of shape {list(shape)} reaches past its {len(flat)} numbers")
    if count > len(flat):
        raise ValueError(f"shape {list(shape)} unfolds to more than its {len(flat)} numbers")
    return _Held(torch.as_strided(flat, shape, strides, flat.storage_offset() + start))


def _walk(tree: object) -> Iterator[tuple[str, Tensor]]:
    """Dotted name and tensor of every tensor in the tree; no object is entered twice."""
    waiting, seen = [("", tree)], set[int]()
    while waiting:
        prefix, shell = waiting.pop()
        if not isinstance(shell, _Shell) or id(shell) in seen or not isinstance(shell.state, dict):
            continue
        seen.add(id(shell))
        for name, value in shell.state.items():
            if isinstance(value, _Held) and isinstance(name, str):
                yield prefix + name, value.tensor
            elif isinstance(value, _Shell):
                waiting.append((f"{prefix}{name}.", value))
