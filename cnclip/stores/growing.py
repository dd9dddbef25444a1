"""An LMDB file that is written and never runs out of map: it starts small and doubles when full."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import lmdb

from cnclip.errors import ResourceError, StoreError
from cnclip.stores.layout import DATA_NAME
from cnclip.stores.mapped_pages import MappedPages

FIRST_MAP_BYTES = 1 << 20
COMMIT_BYTES = 8 << 20  # held in memory until committed, so that a full map can replay them
_MAX_STEP_BYTES = 1 << 30
_LOOKUPS_HELD = 16  # each maps 128 KB or so of the file
_ROW_COST_BYTES = 256  # what a small pending row takes besides its bytes
_DAMAGED = (lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)


class GrowingMap:
    """Puts and gets in one write transaction at a time; what a commit wrote survives a loss of power.

    The file's bytes depend on the records and on where the commits lie between them, on nothing else.

    Args:
        folder: made if missing; gets `data.mdb`, or goes on with the one that is there.
        first_map_bytes: initial size of the map.
        commit_bytes: of keys and values per transaction; None leaves all commits to the caller.
        may_fall_back: a loss of power may undo the last commit, as a whole; spares a flush per commit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first_map_bytes: int = FIRST_MAP_BYTES,
        commit_bytes: int | None = COMMIT_BYTES,
        may_fall_back: bool = False,
    ) -> None:
        self.folder = folder
        self._commit_bytes = commit_bytes
        self._pending: list[tuple[bytes, bytes, bool]] = []
        self._pending_bytes = 0
        with self._translated():
            self._environment = lmdb.open(
                str(folder),
                map_size=first_map_bytes,
                lock=False,
                metasync=not may_fall_back,
                max_spare_txns=0,
            )
            self._map_bytes = int(self._environment.info()["map_size"])
            self._transaction = self._environment.begin(write=True)
        self._pages: MappedPages | None = None
        self._lookups = 0

    def put(self, key: bytes, value: bytes, *, append: bool = False) -> None:
        """Write a record over an older one of its key; `append` wants sorted keys and packs them tight."""
        self._pending.append((key, value, append))
        self._pending_bytes += len(key) + len(value) + _ROW_COST_BYTES
        try:
            self._put(key, value, append)
        except lmdb.Error as error:
            with self._translated():
                if not isinstance(error, lmdb.MapFullError):
                    raise
                self._grow_and_replay()
        if self._commit_bytes is not None and self._pending_bytes >= self._commit_bytes:
            self.commit()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, what was just put included."""
        self._looked_up()
        return self._transaction.get(key)

    def sorted_items(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Records with a key behind `after` that starts with `prefix`, in order; do not put meanwhile."""
        try:
            with self._transaction.cursor() as cursor:
                if cursor.set_range(max(prefix, after)):
                    for key, value in cursor:
                        if not key.startswith(prefix):
                            return
                        if key > after:
                            yield key, value
        finally:
            self._let_go()

    def commit(self) -> None:
        """Write what was put since the last commit; nothing happens where nothing was."""
        if self._pending:
            with self._translated():
                self._commit()
            self._let_go()

    def close(self) -> int:
        """Commit the rest, close, and return the file's size in bytes."""
        self.commit()
        with self._translated():
            self._pages = None
            self._transaction.abort()
            self._environment.close()
        return (self.folder / DATA_NAME).stat().st_size

    def discard(self) -> None:
        """Close without committing; harmless after `close`."""
        self._pages = None
        self._transaction.abort()
        self._environment.close()

    def __enter__(self) -> GrowingMap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def _looked_up(self) -> None:
        self._lookups += 1
        if self._lookups % _LOOKUPS_HELD == 0:
            self._let_go()

    def _let_go(self) -> None:
        if self._pages is None:
            self._pages = MappedPages(self.folder / DATA_NAME)
        self._pages.let_go()

    def _put(self, key: bytes, value: bytes, append: bool) -> None:
        if not append:
            self._looked_up()
        written = self._transaction.put(key, value, append=append)
        assert written, f"keys must come sorted: {key!r}"

    def _commit(self) -> None:
        while True:
            try:
                self._transaction.commit()
                break
            except lmdb.MapFullError:
                self._grow_and_replay()
        self._pending.clear()
        self._pending_bytes = 0
        self._transaction = self._environment.begin(write=True)

    def _grow_and_replay(self) -> None:
        """LMDB aborts a transaction that meets the end of the map; do its puts again in a larger one."""
        while True:
            self._transaction.abort()
            self._map_bytes += min(self._map_bytes, _MAX_STEP_BYTES)
            self._pages = None  # the file is mapped to another place now
            self._environment.set_mapsize(self._map_bytes)
            self._transaction = self._environment.begin(write=True)
            try:
                for key, value, append in self._pending:
                    self._put(key, value, append)
                return
            except lmdb.MapFullError:
                continue

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """LMDB hides a full disk behind 'Input/output error'; say what is known about the place."""
        try:
            yield
        except lmdb.MapFullError:
            raise
        except _DAMAGED as error:
            raise StoreError(f"the file is damaged: {error}", where=str(self.folder)) from None
        except (lmdb.Error, OSError) as error:
            free = shutil.disk_usage(self.folder if self.folder.exists() else self.folder.parent).free
            raise ResourceError(
                f"cannot write the store: {error} ({free / 1e9:.2f} GB free)",
                where=str(self.folder.parent),
                fix="free some space or raise the file-size or memory limit, then run the same command again",
            ) from None
