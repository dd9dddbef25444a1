"""Lets go of pages of a mapped file, which would else count as a process's memory until somebody wants it.

A lookup in a large LMDB file maps the pages around each one that it needs, 128 KB and more. Over a long build
they add up to the whole file. The kernel keeps them in its cache; only this process's view of them goes.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_DONT_NEED = 4  # MADV_DONTNEED of Linux


class MappedPages:
    """The places where a file, or each file below a folder, is mapped into this process to be read.

    Args:
        path: of the file or folder. Ask for a new one of these whenever something is mapped anew.
    """

    def __init__(self, path: Path) -> None:
        self._ranges = _ranges(path.resolve()) if sys.platform == "linux" else []
        self._advise = ctypes.CDLL(None, use_errno=True).madvise if self._ranges else None

    def let_go(self) -> None:
        """Unmap the pages that were read; they come back when they are read again."""
        if self._advise is not None:
            for start, size in self._ranges:
                self._advise(ctypes.c_void_p(start), ctypes.c_size_t(size), ctypes.c_int(_DONT_NEED))


def _ranges(path: Path) -> list[tuple[int, int]]:
    """(address, bytes) of each shared mapping of a file or of those below a folder."""
    found = []
    name, below = str(path), f"{path}/"
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(maxsplit=5)
            if (
                len(fields) == 6
                and fields[1] == "r--s"
                and (fields[5] == name or fields[5].startswith(below))
            ):
                start, _, end = fields[0].partition("-")
                found.append((int(start, 16), int(end, 16) - int(start, 16)))
    return found
