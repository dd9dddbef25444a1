"""Which split the name of a file of a Hugging Face dataset speaks of."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from cnclip.stores.raw.shards import Shard

# Hugging Face names its files train-00000-of-00002.parquet, or has a folder for each split
_SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}")
_SPLITS = frozenset(("train", "training", "valid", "validation", "val", "dev", "test", "testing"))


def split_of(shard: Shard) -> str | None:
    """The split that a file's name, or its folder's, speaks of."""
    file = PurePosixPath(str(shard))
    match = _SHARD.fullmatch(file.stem)
    if match is not None and match["split"] != "data":
        return match["split"]
    if file.stem in _SPLITS:
        return file.stem
    return file.parent.name if file.parent.name in _SPLITS else None
