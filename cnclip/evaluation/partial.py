"""Rows of a long embedding that are kept on the way, so that an interrupted run goes on where it was.

    FOLDER/00000000.npz   rows 0 ... of this process's share; the name is the number of the first one
    FOLDER/00012800.npz   the next ones

Each file is whole or not there, and carries checksums of its own (zip). Rows are kept batch by batch, so that
the batches of the rest are those of a run that was never interrupted.
"""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import numpy as np

from cnclip.artifacts import atomic_file
from cnclip.evaluation.rows import Rows

KEEP_SECONDS = 30.0


class PartialRows:
    """The rows of one process's share, those of an earlier run included.

    Args:
        folder: keeps them; None keeps nothing. Its name must stand for all that decides the rows.
        width: D.
        batch_size: rows per batch; of an earlier run whole batches are taken.
        total: rows of the whole share.
    """

    def __init__(self, folder: Path | None, width: int, *, batch_size: int, total: int) -> None:
        self._folder, self._width = folder, width
        self._rows: list[Rows] = []
        self._waiting: list[Rows] = []
        self._kept = self.done = 0
        self._last = time.monotonic()
        while folder is not None and self.done < total:
            part = _read(self._file(), width)
            if part is None or (len(part) % batch_size and self.done + len(part) != total):
                break
            self._rows.append(part)
            self._kept = self.done = self.done + len(part)

    def add(self, rows: Rows) -> None:
        """Take a batch; every half minute what has come is written.

        Raises:
            ResourceError: disk full or no permission.
        """
        self._rows.append(rows)
        self._waiting.append(rows)
        self.done += len(rows)
        if time.monotonic() - self._last >= KEEP_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Write what has come since the last time."""
        if self._folder is not None and self._waiting:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(self._file()) as temporary, temporary.open("wb") as file:
                np.savez(file, rows=np.concatenate(self._waiting))
        self._kept, self._waiting, self._last = self.done, [], time.monotonic()

    def whole(self) -> Rows:
        """All rows so far: float32 [done, D]. They are handed over: nothing stays here."""
        whole = np.empty((self.done, self._width), dtype=np.float32)
        end = self.done
        self._waiting = []
        while self._rows:  # a batch goes once it is copied, so that memory never holds two tables
            part = self._rows.pop()
            whole[end - len(part) : end] = part
            end -= len(part)
        return whole

    def _file(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._kept:08d}.npz"


def _read(file: Path, width: int) -> Rows | None:
    """The rows of one file; None where it is not there, or cannot be used: they are made again."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            rows: Rows = arrays["rows"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    usable = rows.dtype == np.float32 and rows.ndim == 2 and rows.shape[1] == width and len(rows)
    return rows if usable else None
