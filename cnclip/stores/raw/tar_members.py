"""Members of a tar archive as plain facts, without unpacking: what they are, where their bytes lie.

The headers are read one by one, so that damage is found where it is: `tarfile` takes a bad header in the
middle of an archive for its end. Formats: ustar, GNU long names, pax (POSIX.1-2001).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 512
MAX_EXTENSION_BYTES = 1 << 20
_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"X", b"g"
_EXTENSIONS = (_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _PAX_GLOBAL)
_REGULAR = (b"0", b"\x00", b"7")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
    b"S": "a sparse file",
}
_EXTENDED_PLACE, _EXTENDED_NEXT_PLACE = 482, 504  # the flag "more headers follow" of a GNU sparse member


class Bytes(Protocol):
    """What an archive is read from; `seek` is called only where its size is given."""

    def read(self, count: int, /) -> bytes: ...

    def seek(self, place: int, /) -> int: ...


class TarDamage(Exception):
    """The archive cannot be read on from `offset`."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


@dataclass(frozen=True)
class Member:
    """One member.

    Attributes:
        name: as it stands there; only ever a label.
        kind: "" for a regular file, else what it is.
        size: bytes.
        offset: of its first header in the archive.
        data_offset: of its bytes.
    """

    name: str
    kind: str
    size: int
    offset: int
    data_offset: int


class TarReader:
    """Members in order; between two of them the caller may read the bytes of the last one.

    Args:
        stream: of the archive's plain bytes, at its start.
        size: of the archive; None where the stream cannot seek.
    """

    def __init__(self, stream: Bytes, size: int | None) -> None:
        self._stream = stream
        self._size = size
        self.place = 0

    def members(self) -> Iterator[Member]:
        """All members.

        Raises:
            TarDamage: the archive is cut, or a header is damaged.
        """
        name: str | None = None
        size: int | None = None
        sparse, first = False, 0
        while True:
            start = self.place
            first = start if name is None and size is None else first
            header = self._header()
            if header is None:
                self._expect_zeros()
                return
            kind, data_size = header.type, header.size
            if kind in _EXTENSIONS:
                if data_size > MAX_EXTENSION_BYTES:
                    raise TarDamage(start, f"a header of {data_size} bytes, at most {MAX_EXTENSION_BYTES}")
                content = self.read(data_size)
                self._skip(_padding(data_size))
                if kind == _LONG_NAME:
                    name = content.rstrip(b"\x00").decode("utf-8", "surrogateescape")
                elif kind in (_PAX, _SOLARIS_PAX):
                    records = _pax_records(content, start)
                    name, size = records.get("path", name), _number(records.get("size"), start, size)
                    sparse = any(key.startswith("GNU.sparse.") for key in records)
                continue
            data_size = size if size is not None else data_size
            if kind == b"S":
                self._skip_sparse_headers(header.buf)
            what = "a sparse file" if sparse else _kind_of(kind)
            if what and kind not in (b"S", *_REGULAR):
                data_size = 0  # links and devices have no bytes, whatever their header says
            member = Member(name if name is not None else header.name, what, data_size, first, self.place)
            end = self.place + data_size + _padding(data_size)
            if self._size is not None and self.place + data_size > self._size:
                raise TarDamage(first, f"truncated: it ends inside of {member.name[:80]!a}")
            yield member
            self._skip(end - self.place)
            name, size, sparse = None, None, False

    def read(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            TarDamage: the archive ends before.
        """
        start = self.place
        data = self._stream.read(count)
        self.place += len(data)
        if len(data) != count:
            raise TarDamage(start, f"truncated: {count - len(data)} bytes are missing")
        return data

    def _header(self) -> _Header | None:
        """The header at this place; None at the end of the archive, which two blocks of zeros mark."""
        start = self.place
        block = self._stream.read(BLOCK)
        self.place += len(block)
        if not block:
            raise TarDamage(start, "truncated: the archive has no end mark")
        if len(block) < BLOCK:
            raise TarDamage(start, f"truncated: {BLOCK - len(block)} bytes of a header are missing")
        if not block.strip(b"\x00"):
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise TarDamage(start, f"damaged header: {error}") from None
        if info.size < 0:
            raise TarDamage(start, "damaged header: a negative size")
        return _Header(info.name, info.type, info.size, block)

    def _expect_zeros(self) -> None:
        """Read to the end, which also lets gzip compare its checksum; members there would be lost."""
        while piece := self._stream.read(1 << 20):
            if piece.strip(b"\x00"):
                raise TarDamage(self.place, "data behind its end mark, such as a second archive, is not read")
            self.place += len(piece)

    def _skip(self, count: int) -> None:
        if count <= 0:
            return
        if self._size is None:
            while count:
                count -= len(self.read(min(count, 1 << 20)))
            return
        if self.place + count > self._size:
            missing = self.place + count - self._size
            raise TarDamage(self.place, f"truncated: {missing} bytes are missing")
        self.place += count
        self._stream.seek(self.place)

    def _skip_sparse_headers(self, block: bytes) -> None:
        more = block[_EXTENDED_PLACE]
        while more:
            more = self.read(BLOCK)[_EXTENDED_NEXT_PLACE]


@dataclass(frozen=True)
class _Header:
    name: str
    type: bytes
    size: int
    buf: bytes


def _kind_of(kind: bytes) -> str:
    return "" if kind in _REGULAR else _KINDS.get(kind, f"of the unknown type {kind!r}")


def _padding(size: int) -> int:
    return -size % BLOCK


def _number(text: str | None, offset: int, otherwise: int | None) -> int | None:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise TarDamage(offset, f"damaged header: the size is {text[:40]!r}")
    return int(text)


def _pax_records(content: bytes, offset: int) -> dict[str, str]:
    """`length key=value` lines."""
    records = {}
    place = 0
    while place < len(content) and content[place]:
        length, space, _ = content[place : place + 20].partition(b" ")
        if not space or not length.isdigit() or not len(length) + 2 < int(length) <= len(content) - place:
            raise TarDamage(offset, "damaged header: a pax record has a bad length")
        record = content[place + len(length) + 1 : place + int(length) - 1]
        key, _, value = record.partition(b"=")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        place += int(length)
    return records
