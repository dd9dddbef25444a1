"""Where the passes of a build write: records, ids, pairs, rejected rows, and the hash of the content."""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from cnclip.stores.accounts import RejectLog
from cnclip.stores.layout import PAIR_DTYPE, PAIR_IMAGES_NAME, PAIR_TEXTS_NAME
from cnclip.stores.seen import SeenIds
from cnclip.stores.shards import ShardedWriter

Tick = Callable[[str, int], None]
_BUFFER_PAIRS = 1 << 16


@dataclass
class Sinks:
    """What both passes write to."""

    shards: ShardedWriter
    seen: SeenIds
    log: RejectLog
    _content: Any = field(default_factory=sha256)

    def hash_row(self, values: list[str]) -> None:
        """Let a row into the fingerprint."""
        self._content.update(row_line(values))

    @property
    def fingerprint(self) -> str:
        """sha256 of all rows so far, in order."""
        return str(self._content.hexdigest())


class PairFiles:
    """Picture and caption index of each pair, appended to two files of little-endian int64.

    Args:
        folder: the store being built.
    """

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self.crcs = [0, 0]
        names = (PAIR_IMAGES_NAME, PAIR_TEXTS_NAME)
        self._files = [open(folder / name, "wb") for name in names]
        self._buffers = (array("q"), array("q"))

    def add(self, image_index: int, text_index: int) -> None:
        """Append a pair."""
        self._buffers[0].append(image_index)
        self._buffers[1].append(text_index)
        self.count += 1
        if len(self._buffers[0]) >= _BUFFER_PAIRS:
            self._flush()

    def close(self) -> None:
        """Write the rest; `crcs` are final now."""
        self._flush()
        for file in self._files:
            file.close()

    def _flush(self) -> None:
        for place, (file, buffer) in enumerate(zip(self._files, self._buffers, strict=True)):
            data = np.asarray(buffer, dtype=PAIR_DTYPE).tobytes()
            if not file.closed:
                file.write(data)
            self.crcs[place] = zlib.crc32(data, self.crcs[place])
            del buffer[:]


def row_line(values: list[str]) -> bytes:
    """A row of strings as bytes that no other row has."""
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"
