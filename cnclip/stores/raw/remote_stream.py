"""The bytes of a remote file as one stream: read in blocks, taken up again where a connection broke."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.remote import RemoteFile, file_system, patiently

BLOCK_BYTES = 8 << 20
_SKIPPED_BYTES = 1 << 20


class RemoteStream:
    """A file for reading; nothing is written to the disk, one block is held in memory.

    A server without range requests is read from the front, and takes no seek back.

    Args:
        file: behind a URL.
        read_ahead: fetch whole blocks, for reading in order; False fetches what is asked for.

    Attributes:
        size: in bytes; None where the server does not say.

    Raises:
        SourceError: no such file.
        ResourceError: out of reach (a LostSource, which names `url@offset`), no permission, no package.
    """

    def __init__(self, file: RemoteFile, *, read_ahead: bool = True) -> None:
        self._remote = file
        self._system, self._path = file_system(file.url)
        self._cache = "readahead" if read_ahead else "none"
        self._place = 0
        self._file: Any = None
        self._has_ranges = True
        self.closed = False
        self.size: int | None = None
        patiently(self._open, str(file), forget=self._drop)
        size = getattr(self._file, "size", None)
        self.size = None if size is None else int(size)

    def read(self, count: int = -1, /) -> bytes:
        """The next bytes; fewer only at the end.

        Raises:
            LostSource: the connection broke, and several attempts did not bring it back.
        """
        if self.size is not None:
            left = max(0, self.size - self._place)
            count = left if count < 0 else min(count, left)
        data = bytearray()
        while count < 0 or len(data) < count:
            wanted = BLOCK_BYTES if count < 0 else count - len(data)
            piece = patiently(partial(self._piece, wanted), self._where(), forget=self._drop)
            if not piece:
                break
            data += piece
            self._place += len(piece)
        return bytes(data)

    def seek(self, place: int, whence: int = 0, /) -> int:
        """Go somewhere; nothing is fetched before the next read."""
        if whence == 2 and self.size is None:
            raise self._needs_ranges()
        self._place = place + (0, self._place, self.size or 0)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing to write."""

    def close(self) -> None:
        self.closed = True
        self._drop()

    def __enter__(self) -> RemoteStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _piece(self, count: int) -> bytes:
        if self._file is None:
            self._open()
        self._align()
        try:
            piece = bytes(self._file.read(count))
        except ValueError:
            # the whole file came where a part was asked for
            self._has_ranges = False
            raise
        if not piece and self.size is not None:
            raise OSError(f"the connection ended after {self._place} of {self.size} bytes")
        return piece

    def _open(self) -> None:
        options = {"block_size": BLOCK_BYTES if self._has_ranges else 0, "cache_type": self._cache}
        try:
            self._file = self._system.open(self._path, "rb", **options)
        except TypeError:  # a file system without these options
            self._file = self._system.open(self._path, "rb")

    def _align(self) -> None:
        """Bring the file to this stream's place."""
        here = int(self._file.tell())
        if here == self._place:
            return
        if self._has_ranges:
            try:
                self._file.seek(self._place)
                return
            except ValueError:
                self._has_ranges = False
        if here > self._place:
            raise self._needs_ranges()
        while here < self._place:
            skipped = len(self._file.read(min(_SKIPPED_BYTES, self._place - here)))
            if not skipped:
                raise OSError(f"the connection ended after {here} bytes")
            here += skipped

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(Exception):  # of a connection that is broken already
                file.close()

    def _needs_ranges(self) -> SourceError:
        return SourceError(
            "the server gives whole files only (no range requests), which this format needs",
            where=self._where(),
            fix="download it first, and give the path",
        )

    def _where(self) -> str:
        return f"{self._remote}@{self._place}"
