"""The one table of names: what files call a tensor, its official name, and its name in memory.

Official names are those of the cn_clip files without `module.`: `visual.*` as OpenAI's, `bert.*` as BERT's.
In memory the query, key and value of a text block are one matrix, so names differ there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnclip.errors import CheckpointError

_DROPPED = (
    (re.compile(r"^bert\.pooler\."), "the pooler of BERT: the text feature is the [CLS] state itself"),
    (re.compile(r"\.position_ids$"), "a table that counts 0, 1, 2 …"),
)
_RENAMES = (  # FlashAttention-1 and early TensorFlow spellings
    (re.compile(r"\.attn\.Wqkv\.(weight|bias)$"), r".attn.in_proj_\1"),
    (re.compile(r"\.attention\.self\.out_proj\."), ".attention.output.dense."),
    (re.compile(r"\.LayerNorm\.gamma$"), ".LayerNorm.weight"),
    (re.compile(r"\.LayerNorm\.beta$"), ".LayerNorm.bias"),
)
_JOINED = re.compile(r"^(.*\.attention\.self\.)(?:Wqkv|qkv)\.(weight|bias)$")
_QUERY = re.compile(r"^(.*\.attention\.self\.)query\.(weight|bias)$")
_QKV = re.compile(r"^(.*\.attention\.self\.)(query|key|value)\.(weight|bias)$")
_IN_PROJ = re.compile(r"\.attn\.in_proj[._](weight|bias)$")
_PARTS = ("query", "key", "value")


@dataclass(frozen=True)
class OfficialTensors:
    """The tensors of a file under their official names.

    Attributes:
        tensors: official name -> tensor.
        origins: official name -> name in the file.
        dropped: name in the file -> why no tower uses it (pooler, position ids).
    """

    tensors: dict[str, Tensor]
    origins: dict[str, str]
    dropped: dict[str, str]


def official_tensors(tensors: Mapping[str, Tensor], *, where: str) -> OfficialTensors:
    """Translate a file's names; each name on its own, whatever the others look like.

    Raises:
        CheckpointError: two tensors of the file mean the same.
    """
    named: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    dropped: dict[str, str] = {}
    plain_bert = _is_plain_bert(tensors)
    for origin, tensor in tensors.items():
        name = _official_name(origin, plain_bert=plain_bert)
        reason = next((why for pattern, why in _DROPPED if pattern.search(name)), None)
        if reason is not None:
            dropped[origin] = reason
            continue
        for part, value in _split(name, tensor):
            if part in named:
                raise CheckpointError(f"{origins[part]} and {origin} are both {part}", where=where)
            named[part], origins[part] = value, origin
    return OfficialTensors(named, origins, dropped)


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


def _is_plain_bert(names: Iterable[str]) -> bool:
    """A file of a bare BERT encoder has no `bert.` before its names."""
    return any(name.removeprefix("module.").startswith("embeddings.word_embeddings.") for name in names)


def _official_name(origin: str, *, plain_bert: bool) -> str:
    name = origin.removeprefix("module.")
    if plain_bert and name.split(".")[0] in ("embeddings", "encoder", "pooler"):
        name = f"bert.{name}"
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def _split(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    joined = _JOINED.match(name)
    if joined is None:
        return [(name, tensor)]
    prefix, kind = joined.groups()
    return [(f"{prefix}{part}.{kind}", rows) for part, rows in zip(_PARTS, tensor.chunk(3), strict=True)]
