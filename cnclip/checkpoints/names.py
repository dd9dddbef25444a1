"""Names of tensors: from what a file calls them to official ones, from these to names in memory and back.

In memory the query, key and value of a block are one matrix in both towers; official names join them in the
image tower only, and Hugging Face's files in neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnclip.checkpoints.layouts import Layout, find_layout
from cnclip.errors import CheckpointError

_JOINED = re.compile(r"^(.*\.attention\.self\.)(?:Wqkv|qkv)\.(weight|bias)$")
_QUERY = re.compile(r"^(.*\.attention\.self\.)query\.(weight|bias)$")
_QKV = re.compile(r"^(.*\.attention\.self\.)(query|key|value)\.(weight|bias)$")
_IN_PROJ = re.compile(r"\.attn\.in_proj[._](weight|bias)$")
_PARTS = ("query", "key", "value")
_APART = re.compile(r"^(visual\..*\.attn\.)q_proj\.(weight|bias)$")
_TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}


@dataclass(frozen=True)
class OfficialTensors:
    """The tensors of a file under their official names.

    Attributes:
        tensors: official name -> tensor.
        origins: official name -> name in the file; `a.{q,k,v}_proj.b` where three were joined.
        dropped: name in the file -> why no tower uses it (pooler, position ids).
        layout: the family of names.
    """

    tensors: dict[str, Tensor]
    origins: dict[str, str]
    dropped: dict[str, str]
    layout: Layout


def official_tensors(
    tensors: dict[str, Tensor], *, where: str, release: Callable[[Tensor], None] | None = None
) -> OfficialTensors:
    """Translate a file's names; `module.` is stripped from each name on its own.

    Args:
        tensors: name in the file -> tensor; emptied, so that what is joined does not live twice.
        where: the file, for errors.
        release: told of each tensor whose values were copied, so that its memory can be given back.

    Raises:
        CheckpointError: two tensors of the file mean the same.
    """
    layout = find_layout({_plain(name) for name in tensors})
    named: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    dropped: dict[str, str] = {}
    for origin in list(tensors):
        name, tensor = _plain(origin), tensors.pop(origin)
        if name.split(".")[0] in layout.bare:
            name = layout.prefix + name
        reason = next((why for pattern, why in layout.dropped if pattern.search(name)), None)
        if reason is not None:
            dropped[origin] = reason
            continue
        for pattern, replacement in layout.renames:
            name = pattern.sub(replacement, name)
        for part, value in _split(name, tensor):
            if part in named:
                raise CheckpointError(f"{origins[part]} and {origin} are both {part}", where=where)
            named[part], origins[part] = value, origin
    _join_apart(named, origins, release)
    _transpose(named, origins, release)
    return OfficialTensors(named, origins, dropped, layout)


def _plain(name: str) -> str:
    return name.removeprefix("module.")


def _join_apart(
    named: dict[str, Tensor], origins: dict[str, str], release: Callable[[Tensor], None] | None
) -> None:
    """Query, key and value of the image tower become one matrix; where one is missing, they stay."""
    for query in [name for name in named if _APART.match(name)]:
        parts = [query.replace(".q_proj.", f".{letter}_proj.") for letter in "qkv"]
        if not all(part in named and named[part].shape == named[query].shape for part in parts):
            continue
        joined = query.replace(".q_proj.", ".in_proj_")
        named[joined] = join_rows([named.pop(part) for part in parts], release=release)
        origins[joined] = origins[query].replace(".q_proj.", ".{q,k,v}_proj.")
        for part in parts:
            del origins[part]


def _transpose(
    named: dict[str, Tensor], origins: dict[str, str], release: Callable[[Tensor], None] | None
) -> None:
    """The matrix of a linear layer without bias is the transpose of an official projection."""
    for linear, official in _TRANSPOSED.items():
        if linear in named and named[linear].ndim == 2 and official not in named:
            matrix = named.pop(linear)
            named[official], origins[official] = matrix.T.contiguous(), origins.pop(linear)
            if release is not None:
                release(matrix)


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names in memory -> official names; joined matrices become views of their parts."""
    official: dict[str, Tensor] = {}
    for name, tensor in state.items():
        official.update(_split(_IN_PROJ.sub(r".attn.in_proj_\1", name), tensor))
    return official


def to_memory(
    official: Mapping[str, Tensor], *, release: Callable[[Tensor], None] | None = None
) -> dict[str, Tensor]:
    """Official names -> names in memory; query, key and value are joined.

    Args:
        official: official name -> tensor.
        release: told of each tensor whose values were copied, so that its memory can be given back.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in official.items():
        query = _QUERY.match(name)
        if query is not None:
            prefix, kind = query.groups()
            parts = [official[f"{prefix}{part}.{kind}"] for part in _PARTS]
            state[f"{prefix}qkv.{kind}"] = join_rows(parts, release=release)
        elif not re.search(r"\.attention\.self\.(key|value)\.", name):
            state[_IN_PROJ.sub(r".attn.in_proj.\1", name)] = tensor
    return state


def join_rows(parts: Sequence[Tensor], *, release: Callable[[Tensor], None] | None = None) -> Tensor:
    """Tensors below each other: a view where they follow each other in memory already, as in our files."""
    first = parts[0]
    end = first.storage_offset()
    adjacent = True
    for part in parts:
        adjacent &= part.is_contiguous() and part.storage_offset() == end and part.dtype == first.dtype
        adjacent &= part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        end += part.numel()
    if adjacent and first.device.type != "meta":
        rows = sum(len(part) for part in parts)
        return first.as_strided((rows, *first.shape[1:]), first.stride(), first.storage_offset())
    joined = torch.cat(list(parts))
    if release is not None:
        for part in parts:
            release(part)
    return joined


def file_order(name: str) -> tuple[str, int]:
    """Sort key of tensors in our files: by name, but query, key and value of a layer follow each other."""
    part = _QKV.match(name)
    if part is None:
        return name, 0
    prefix, which, kind = part.groups()
    return f"{prefix}qkv.{kind}", _PARTS.index(which)


def _split(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    joined = _JOINED.match(name)
    if joined is None:
        return [(name, tensor)]
    prefix, kind = joined.groups()
    if tensor.ndim == 0 or len(tensor) % 3:
        return [(name, tensor)]  # no query, key and value: it is left over, and the load says so
    return [(f"{prefix}{part}.{kind}", rows) for part, rows in zip(_PARTS, tensor.chunk(3), strict=True)]
