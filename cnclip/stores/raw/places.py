"""Where bytes lie: a file, a gzip file, or a member of a zip; opened as one plain stream."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cnclip.errors import ResourceError, SourceError
from cnclip.stores.raw.rows import shown

DAMAGES = (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile)
# what zipfile raises for a header that is damaged, locked or of a method that it does not know
_ZIP_DAMAGES = (*DAMAGES, KeyError, RuntimeError, NotImplementedError, ValueError, OverflowError, OSError)
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class Place:
    """A file, or one member of a zip archive; a name that ends in .gz or .tgz is decompressed.

    Attributes:
        path: on the disk.
        member: of the zip that `path` is; "" for the file itself. Never used as a path.
    """

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """Without folders."""
        return self.member.rpartition("/")[2] or self.path.name

    def shown(self, root: Path) -> str:
        """The name for messages, relative to `root`."""
        path = self.path.relative_to(root).as_posix() if self.path.is_relative_to(root) else self.path.name
        return shown(f"{path}/{self.member}" if self.member else path, 500)

    def open(self) -> OpenedPlace:
        """The stream of its bytes, decompressed.

        Raises:
            SourceError: no such file, or a zip that cannot be read.
            ResourceError: no permission.
        """
        raw = open_file(self.path)
        size = max(1, os.fstat(raw.fileno()).st_size)
        plain: BinaryIO = raw
        if self.member:
            plain = self._member(raw)
        if self.name.lower().endswith((".gz", ".tgz")):
            plain = cast(BinaryIO, gzip.GzipFile(fileobj=plain, mode="rb"))
        return OpenedPlace(plain, raw, lambda: raw.tell() / size)

    def _member(self, raw: BinaryIO) -> BinaryIO:
        try:
            member = cast(io.RawIOBase, zipfile.ZipFile(raw).open(self.member))
            return io.BufferedReader(member)  # whose readline keeps to its limit
        except _ZIP_DAMAGES as error:
            raw.close()
            what = "has a password" if "password" in str(error) else f"cannot be read: {error}"
            raise SourceError(
                f"the zip {what}", where=f"{self.path}:{self.member}", fix="download it again, or unzip it"
            ) from None


@dataclass(frozen=True)
class OpenedPlace:
    """An open stream.

    Attributes:
        stream: decompressed bytes.
        raw: the file beneath; may be the same.
        share: how much of the file has been read, 0 to 1.
    """

    stream: BinaryIO
    raw: BinaryIO
    share: Callable[[], float]

    def __enter__(self) -> OpenedPlace:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.raw.close()


def open_file(path: Path) -> BinaryIO:
    """A file for reading.

    Raises:
        SourceError: no such file.
        ResourceError: no permission.
    """
    try:
        return open(path, "rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise SourceError(f"no such file: {path}", where=str(path), fix="check the path") from None
    except PermissionError:
        raise ResourceError(f"no permission to read {path}", where=str(path), fix="chmod +r") from None


def zip_members(path: Path) -> list[str]:
    """Names of the files in a zip, sorted; a name is only ever a label.

    Raises:
        SourceError: no zip.
    """
    with open_file(path) as raw:
        try:
            with zipfile.ZipFile(raw) as archive:
                return sorted(info.filename for info in archive.infolist() if not info.is_dir())
        except _ZIP_DAMAGES as error:
            raise SourceError(
                f"not a whole zip archive: {error}", where=str(path), fix="download it again"
            ) from None


class Utf8FromUtf16(io.RawIOBase):
    """UTF-16 bytes with a byte order mark, given out as UTF-8.

    Args:
        stream: of UTF-16.

    Raises:
        UnicodeDecodeError: while reading, where the bytes are not UTF-16.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._ready:
            piece = self._stream.read(_PIECE_BYTES)
            self._ready = self._decoder.decode(piece, final=not piece).encode()
            if not piece and not self._ready:
                return 0
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
