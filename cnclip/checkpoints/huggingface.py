"""Find and map the weights of a Hugging Face folder: one file or shards, safetensors or torch's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from cnclip.checkpoints.mapping import ManyPages, MappedTensors
from cnclip.checkpoints.reading import map_tensors
from cnclip.errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_INDEX = ".index.json"
_AGAIN = "download the folder again"


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder holds weights under one of the library's names."""
    return any((folder / name).is_file() for name in WEIGHT_FILES)


def read_config(folder: Path) -> dict[str, Any]:
    """Content of `config.json`; {} where there is none.

    Raises:
        CheckpointError: not a table.
    """
    file = folder / CONFIG_FILE
    return read_table(file) if file.is_file() else {}


def read_table(file: Path) -> dict[str, Any]:
    """A JSON file that holds one table.

    Raises:
        CheckpointError: unreadable, not JSON, or another value.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.name} is not JSON: {error}", where=str(file), fix=_AGAIN) from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{file.name} is not a model configuration", where=str(file), fix=_AGAIN)
    return value


def weight_file(folder: Path) -> str | None:
    """The file that a folder's weights are read from, or their index; safetensors are preferred."""
    return next((name for name in WEIGHT_FILES if (folder / name).is_file()), None)


def map_folder(folder: Path) -> MappedTensors:
    """Map all weights of a folder; safetensors are preferred.

    Raises:
        CheckpointError: no weights, a shard is missing, or damaged.
        RefusedError: a file wants code to be run, or the index leaves the folder.
    """
    name = weight_file(folder)
    if name is None:
        raise CheckpointError(f"the folder has none of {', '.join(WEIGHT_FILES)}", where=str(folder))
    return _map_shards(folder, name) if name.endswith(_INDEX) else map_tensors(folder / name)


def _map_shards(folder: Path, index_name: str) -> MappedTensors:
    index = folder / index_name
    shard_of = _weight_map(index)
    shards = {name: map_tensors(folder / name) for name in dict.fromkeys(shard_of.values())}
    tensors: dict[str, Tensor] = {}
    for shard, mapped in shards.items():
        for name, tensor in mapped.tensors.items():
            if shard_of.get(name) != shard:
                raise CheckpointError(
                    f"{name} is in {shard}, the index has it in {shard_of.get(name)}",
                    where=str(index),
                    fix=_AGAIN,
                )
            tensors[name] = tensor
    missing = [name for name in shard_of if name not in tensors]
    if missing:
        raise CheckpointError(
            f"{len(missing)} tensors of the index are in no shard, the first is {missing[0]}",
            where=str(index),
            fix=_AGAIN,
        )
    return MappedTensors(tensors, ManyPages([mapped.release for mapped in shards.values()]))


def _weight_map(index: Path) -> dict[str, str]:
    """Name of each tensor -> name of its shard, a file beside the index."""
    shard_of = read_table(index).get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of:
        raise CheckpointError("the index has no weight_map", where=str(index), fix=_AGAIN)
    for shard in shard_of.values():
        if not isinstance(shard, str) or shard in ("", ".", "..") or set(shard) & set("/\\:\0"):
            raise CheckpointError(f"{shard!r} is not a file of this folder", where=str(index), fix=_AGAIN)
        if not (index.parent / shard).is_file():
            raise CheckpointError(f"the shard {shard} is missing", where=str(index), fix=_AGAIN)
    return shard_of
