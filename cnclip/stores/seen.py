"""Which ids a build has met, on disk: memory stays flat however many there are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from cnclip.stores.growing import GrowingMap
from cnclip.stores.layout import id_key

_ENTRY = struct.Struct("<q8s16sI")
REJECTED = -1
_COMMIT_BYTES = 4 << 20  # keys come in random order: each may touch a page of its own until the commit


@dataclass(frozen=True)
class Seen:
    """An id that was met.

    Attributes:
        index: number of its record in the store; REJECTED where the row was bad.
        content: 16 bytes of the content's hash.
        where: the row that brought it.
        origin: see RawImage.origin.
        reason: why it was rejected.
    """

    index: int
    content: bytes
    where: str
    origin: str = ""
    reason: str = ""

    def has_origin(self, origin: str) -> bool:
        """Whether the id came from the same non-empty origin."""
        return bool(origin) and self.origin == _origin_mark(origin)


class SeenIds:
    """Ids of pictures and captions -> Seen, in a scratch LMDB.

    Args:
        folder: made for it; the builder removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._map = GrowingMap(folder, commit_bytes=_COMMIT_BYTES)

    def get(self, kind: bytes, identifier: str) -> Seen | None:
        """What is known of an id of `kind` (IMAGE_ID or TEXT_ID)."""
        packed = self._map.get(id_key(kind, identifier))
        if packed is None:
            return None
        index, origin, content, where_bytes = _ENTRY.unpack_from(packed)
        where = packed[_ENTRY.size : _ENTRY.size + where_bytes].decode()
        reason = packed[_ENTRY.size + where_bytes :].decode()
        return Seen(index, content, where, origin.hex(), reason)

    def put(self, kind: bytes, identifier: str, seen: Seen) -> None:
        """Remember an id; replaces what was known."""
        where = seen.where.encode()
        origin = bytes.fromhex(_origin_mark(seen.origin))
        packed = _ENTRY.pack(seen.index, origin, seen.content, len(where)) + where + seen.reason.encode()
        self._map.put(id_key(kind, identifier), packed)

    def sorted_indices(self, kind: bytes) -> Iterator[tuple[bytes, int]]:
        """(key, index) of the ids that were written, in key order."""
        for key, packed in self._map.sorted_items(kind):
            index = _ENTRY.unpack_from(packed)[0]
            if index != REJECTED:
                yield key, index

    def discard(self) -> None:
        self._map.discard()


def _origin_mark(origin: str) -> str:
    """8 bytes in hexadecimal that stand for an origin; zeros for none."""
    return blake2b(origin.encode(errors="surrogateescape"), digest_size=8).hexdigest() if origin else "00" * 8
