"""The one table of names: what files call a tensor, its official name, and its name in memory.

Official names are those of the cn_clip files without `module.`: `visual.*` as OpenAI's, `bert.*` as BERT's.
In memory the query, key and value of a text block are one matrix, so names differ there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cnclip.errors import CheckpointError

_IGNORED = re.compile(r"^bert\.pooler\.|\.position_ids$")
_RENAMES = (  # FlashAttention-1 and early TensorFlow spellings
    (re.compile(r"\.attn\.Wqkv\.(weight|bias)$"), r".attn.in_proj_\1"),
    (re.compile(r"\.attention\.self\.out_proj\."), ".attention.output.dense."),
    (re.compile(r"\.LayerNorm\.gamma$"), ".LayerNorm.weight"),
    (re.compile(r"\.LayerNorm\.beta$"), ".LayerNorm.bias"),
)
_JOINED = re.compile(r"^(.*\.attention\.self\.)(?:Wqkv|qkv)\.(weight|bias)$")
_QUERY = re.compile(r"^(.*\.attention\.self\.)query\.(weight|bias)$")
_IN_PROJ = re.compile(r"\.attn\.in_proj[._](weight|bias)$")
_PARTS = ("query", "key", "value")


@dataclass(frozen=True)
class OfficialTensors:
    """The tensors of a file under their official names.

    Attributes:
        tensors: official name -> tensor.
        origins: official name -> name in the file.
        ignored: names in the file of tensors that no tower uses (pooler, position ids).
    """

    tensors: dict[str, Tensor]
    origins: dict[str, str]
    ignored: tuple[str, ...]


def official_tensors(tensors: Mapping[str, Tensor], *, where: str) -> OfficialTensors:
    """Translate a file's names; each name on its own, whatever the others look like.

    Raises:
        CheckpointError: two tensors of the file mean the same.
    """
    named: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    ignored = []
    plain_bert = _is_plain_bert(tensors)
    for origin, tensor in tensors.items():
        name = _official_name(origin, plain_bert=plain_bert)
        if _IGNORED.search(name):
            ignored.append(origin)
            continue
        for part, value in _split(name, tensor):
            if part in named:
                raise CheckpointError(f"{origins[part]} and {origin} are both {part}", where=where)
            named[part], origins[part] = value, origin
    return OfficialTensors(named, origins, tuple(ignored))


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names in memory -> official names; joined matrices become views of their parts."""
    official: dict[str, Tensor] = {}
    for name, tensor in state.items():
        official.update(_split(_IN_PROJ.sub(r".attn.in_proj_\1", name), tensor))
    return official


def to_memory(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names -> names in memory; query, key and value are joined."""
    state: dict[str, Tensor] = {}
    for name, tensor in official.items():
        query = _QUERY.match(name)
        if query is not None:
            prefix, kind = query.groups()
            state[f"{prefix}qkv.{kind}"] = torch.cat([official[f"{prefix}{part}.{kind}"] for part in _PARTS])
        elif not re.search(r"\.attention\.self\.(key|value)\.", name):
            state[_IN_PROJ.sub(r".attn.in_proj.\1", name)] = tensor
    return state


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
