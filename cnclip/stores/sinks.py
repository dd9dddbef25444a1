"""Where the passes of a build write: records, ids, pairs, rejected rows, and the hash of the content."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BufferedWriter
from pathlib import Path

import numpy as np

from cnclip.errors import RefusedError
from cnclip.stores.accounts import RejectLog, Step, Tally
from cnclip.stores.layout import (
    CAPTION_GROUPS_NAME,
    PAIR_DTYPE,
    PAIR_IMAGES_NAME,
    PAIR_TEXTS_NAME,
    group_number,
)
from cnclip.stores.seen import SeenIds
from cnclip.stores.shards import ShardedWriter
from cnclip.stores.staging import FRESH, cut_off

Tick = Callable[[str, int], None]
_encode = json.JSONEncoder(ensure_ascii=False).encode
_BUFFER_VALUES = 1 << 13


@dataclass
class Sinks:
    """What all passes write to, and the notes from which a build that was killed goes on.

    Notes are taken after a number of rows or bytes: never by the clock, since each is a commit of the open
    file, and its bytes depend on where the commits lie.

    Attributes:
        note_bytes: of records between two notes.
        note_events: rows between two notes.
    """

    shards: ShardedWriter
    seen: SeenIds
    log: RejectLog
    pairs: PairFiles
    tally: Tally
    note_bytes: int
    note_events: int
    _events: int = 0  # since the last note

    def hash_row(self, values: list[str]) -> None:
        """Let a row into the fingerprint: each digest is of the one before it and of the row."""
        self.tally.digest = chained(self.tally.digest, values)

    def skipping(self) -> Skipping:
        """What was dealt with before a resume, for a pass to pass over."""
        return Skipping(self.tally.events, self.tally.met)

    def row_done(self, row: list[str]) -> None:
        """A row of the source, as it gave it, is dealt with."""
        self.tally.met = chained(self.tally.met, row)
        self.events_done()

    def events_done(self, count: int = 1) -> None:
        """Rows of this step are dealt with; take notes if it is time."""
        self.tally.events += count
        self._events += count
        if self._events >= self.note_events or self.shards.uncommitted_bytes >= self.note_bytes:
            self.take_notes()

    def next_step(self, step: Step) -> None:
        """A pass is over."""
        self.tally.step, self.tally.events, self.tally.after = step, 0, ""
        self.tally.met = Tally.met

    def take_notes(self) -> None:
        """Make all that was written hold; the notes come last, in one transaction with the ids."""
        self._events = 0
        committed = self.shards.commit()
        self.pairs.flush()
        self.log.flush()
        if committed is not None:
            self.seen.note_commit(*committed)
        state = {
            "tally": asdict(self.tally),
            "shards": self.shards.state(),
            "pairs": self.pairs.state(),
            "log": self.log.state(),
        }
        self.seen.save(json.dumps(state, ensure_ascii=False).encode())

    def restore(self, state: bytes) -> None:
        """Go on from the last notes.

        Raises:
            StoreError: a file has lost what the notes say is in it.
        """
        noted = json.loads(state)
        self.tally = Tally.from_dict(noted["tally"])
        self.shards.restore(noted["shards"], self.seen.commits_of(len(noted["shards"]["finished"])))
        self.pairs.restore(noted["pairs"])
        self.log.restore(noted["log"])

    def discard(self) -> None:
        """Let go of all files; what was noted stays."""
        self.shards.discard()
        self.seen.discard()
        for file in (self.log, self.pairs):
            with suppress(OSError):  # a full disk has been told already
                file.close()


class Skipping:
    """Passes over the rows that were dealt with before a resume, and sees that they are the same ones.

    Args:
        count: of those rows.
        digest: their hash.
    """

    def __init__(self, count: int, digest: str) -> None:
        self._left, self._wanted, self._digest = count, digest, Tally.met
        self.met = 0

    def has(self, row: list[str]) -> bool:
        """Whether the next row, as the source gives it, is one of them.

        Raises:
            RefusedError: they were others.
        """
        if self.met == self._left:
            return False
        self.met += 1
        self._digest = chained(self._digest, row)
        if self.met == self._left:
            self._compare()
        return True

    def end(self, where: str) -> None:
        """The source has no more rows.

        Raises:
            RefusedError: it had more.
        """
        if self.met < self._left:
            self._wanted = where  # no hash is like it
            self._compare()

    def _compare(self) -> None:
        if self._digest != self._wanted:
            raise RefusedError(
                "the unfinished build began with other rows: the source, or how it is read, has changed",
                where=f"the first {self._left} rows",
                fix=FRESH,
            )


class PairFiles:
    """Picture and caption index of each pair, group number of each caption: files of little-endian int64.

    Args:
        folder: the store being built.
    """

    def __init__(self, folder: Path) -> None:
        self.count = 0
        names = (PAIR_IMAGES_NAME, PAIR_TEXTS_NAME, CAPTION_GROUPS_NAME)
        self._files = [open(folder / name, "ab") for name in names]
        self._buffers = [array("q") for _ in names]
        self._unflushed: set[BufferedWriter] = set()

    def add(self, image_index: int, text_index: int) -> None:
        """Append a pair."""
        self._buffers[0].append(image_index)
        self._buffers[1].append(text_index)
        self.count += 1
        if len(self._buffers[0]) >= _BUFFER_VALUES:
            self._write()

    def add_caption(self, caption: str) -> None:
        """Append a caption."""
        self._buffers[2].append(group_number(caption))
        if len(self._buffers[2]) >= _BUFFER_VALUES:
            self._write()

    def flush(self) -> None:
        """Make all values survive a loss of power."""
        self._write()
        for file in self._unflushed:
            file.flush()
            os.fsync(file.fileno())
        self._unflushed.clear()

    def state(self) -> list[int]:
        """Bytes of each file, for `restore`; true after a `flush`."""
        return [file.tell() for file in self._files]

    def restore(self, state: list[int]) -> None:
        """Go on where a `state` was noted; later values are cut off.

        Raises:
            StoreError: a file is shorter.
        """
        for file, size in zip(self._files, state, strict=True):
            cut_off(Path(file.name), size)
            file.seek(0, os.SEEK_END)
        self.count = state[0] // 8

    def close(self) -> None:
        """Write the rest."""
        try:
            self._write()
        finally:
            for file in self._files:
                file.close()

    def _write(self) -> None:
        for file, buffer in zip(self._files, self._buffers, strict=True):
            if buffer and not file.closed:
                file.write(np.asarray(buffer, dtype=PAIR_DTYPE).tobytes())
                self._unflushed.add(file)
            del buffer[:]


def chained(digest: str, values: list[str]) -> str:
    """The hash of a row and of what was before it, in hexadecimal."""
    return sha256(bytes.fromhex(digest) + row_line(values)).hexdigest()


def row_line(values: list[str]) -> bytes:
    """A row of strings as bytes that no other row has."""
    return _encode(values).encode("utf-8", "surrogatepass") + b"\n"
