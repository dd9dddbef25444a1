"""Which ids a build has met, and where it stands, on disk: memory stays flat however many there are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from cnclip.stores.growing import GrowingMap
from cnclip.stores.layout import id_key

_ENTRY = struct.Struct("<q8s16sI")
_COMMIT = struct.Struct(">IQ")
_STATE_KEY, _COMMIT_KIND = b"\x00state", b"\x00commit"  # no id's key begins with NUL
REJECTED = -1


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
    """Ids of pictures and captions -> Seen, in a scratch LMDB; what is put holds when `save` returns.

    Args:
        folder: made for it, or that of a build which goes on; the builder removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._map = GrowingMap(folder, commit_bytes=None, may_fall_back=True)

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

    def indices_after(self, kind: bytes, after: bytes, limit: int) -> list[tuple[bytes, int]]:
        """(key, index or REJECTED) of the next ids of `kind` behind the key `after`, at most `limit`."""
        items = islice(self._map.sorted_items(kind, after=after), limit)
        return [(key, _ENTRY.unpack_from(packed)[0]) for key, packed in items]

    def note_commit(self, shard: int, records: int) -> None:
        """Remember that the file number `shard` was committed when it held so many records."""
        self._map.put(_COMMIT_KIND + _COMMIT.pack(shard, records), b"")

    def commits_of(self, shard: int) -> Iterator[int]:
        """How many records the file number `shard` held at each of its commits; see `note_commit`."""
        prefix = _COMMIT_KIND + _COMMIT.pack(shard, 0)[:4]
        for key, _ in self._map.sorted_items(prefix):
            yield int(_COMMIT.unpack_from(key, len(_COMMIT_KIND))[1])

    def save(self, state: bytes) -> None:
        """Make all that was put hold, together with a record of where the build stands."""
        self._map.put(_STATE_KEY, state)
        self._map.commit()

    def saved(self) -> bytes | None:
        """The last record of where the build stands."""
        return self._map.get(_STATE_KEY)

    def discard(self) -> None:
        self._map.discard()


def _origin_mark(origin: str) -> str:
    """8 bytes in hexadecimal that stand for an origin; zeros for none."""
    return blake2b(origin.encode(errors="surrogateescape"), digest_size=8).hexdigest() if origin else "00" * 8
