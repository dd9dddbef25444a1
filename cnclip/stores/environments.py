"""One read-only LMDB environment per file and process: LMDB refuses a second, and none may cross a fork.

Environments open at the first read, are shared by all readers of the process, and are closed before a fork,
so that parent and child each open their own afterwards.

Pages that were read count in a process's resident size as shared pages of a file; the system takes them back
when it wants memory. What a process itself holds is its anonymous memory (`RssAnon` in /proc/PID/status).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

import lmdb

from cnclip.errors import StoreError
from cnclip.stores.layout import DATA_NAME, REBUILD, Shard
from cnclip.stores.shards import meta_checksum

FileId = tuple[int, int]
Taken = TypeVar("Taken")


class SharedFile:
    """A shard's file, opened when it is first read; then one read transaction stays open, for nobody writes.

    Args:
        folder: of the shard.
        shard: what the header says about it.
        identity: device and inode of its file.
    """

    def __init__(self, folder: Path, shard: Shard, identity: FileId) -> None:
        self.folder = folder
        self._identity = identity
        self._shard = shard
        self._environment: lmdb.Environment | None = None
        self._transaction: lmdb.Transaction | None = None
        self.users = 0

    def get(self, key: bytes, take: Callable[[memoryview], Taken]) -> Taken | None:
        """What `take` makes of the record of `key`, or None where there is none.

        Args:
            key: of the record.
            take: copies what it wants, and quickly: other readers of the process wait.

        Raises:
            StoreError: the file has another size or start than the header says, or LMDB finds it damaged.
        """
        with _lock:
            try:
                found = (self._transaction or self._open()).get(key)
                return None if found is None else take(memoryview(found))
            except lmdb.Error as error:
                raise self._damage(error) from None

    def items(self, first: bytes, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` records from the key `first` on whose keys start with `prefix`, in key order.

        Raises:
            StoreError: see `get`.
        """
        found = []
        with _lock:
            try:
                with (self._transaction or self._open()).cursor() as cursor:
                    if cursor.set_range(first):
                        for view, value in islice(cursor, limit):
                            key = bytes(view)
                            if not key.startswith(prefix):
                                break
                            found.append((key, bytes(value)))
            except lmdb.Error as error:
                raise self._damage(error) from None
        return found

    def close(self) -> None:
        """Close the environment; the next read opens it again."""
        if self._environment is not None and self._transaction is not None:
            self._transaction.abort()
            self._environment.close()
        self._environment = self._transaction = None
        _open_files.pop(self, None)

    def _open(self) -> lmdb.Transaction:
        data = self.folder / DATA_NAME
        if check_size(data, self._shard) != self._identity:
            raise StoreError(
                "the store was replaced while in use", where=str(data), fix="start the run again"
            )
        if meta_checksum(data, self._shard.meta_bytes)[1] != self._shard.meta_crc:
            raise StoreError(
                "damaged file: its first pages differ from the header", where=str(data), fix=REBUILD
            )
        while len(_open_files) >= _most_open():
            next(iter(_open_files)).close()
        try:
            self._environment = lmdb.open(
                str(self.folder),
                map_size=self._shard.bytes,
                readonly=True,
                create=False,
                lock=False,
                readahead=False,
                meminit=False,
            )
        except lmdb.Error as error:
            raise StoreError(f"cannot open the file: {error}", where=str(data), fix=REBUILD) from None
        self._transaction = self._environment.begin(buffers=True)
        _open_files[self] = None
        return self._transaction

    def _damage(self, error: lmdb.Error) -> StoreError:
        return StoreError(f"damaged file: {error}", where=str(self.folder / DATA_NAME), fix=REBUILD)


_lock = threading.Lock()
_files: dict[FileId, SharedFile] = {}
_open_files: dict[SharedFile, None] = {}  # the longest open first
_watching = False


def acquire(folder: Path, shard: Shard) -> SharedFile:
    """The process's one handle of a shard; give it back with `release`.

    Raises:
        StoreError: no such file, or one of another size.
    """
    identity = check_size(folder / DATA_NAME, shard)
    with _lock:
        _watch_forks()
        file = _files.setdefault(identity, SharedFile(folder, shard, identity))
        file.users += 1
        return file


def release(file: SharedFile) -> None:
    """Give a handle back; the last user's closes the file."""
    with _lock:
        file.users -= 1
        if file.users <= 0:
            file.close()
            for identity in [identity for identity, known in _files.items() if known is file]:
                del _files[identity]


def check_size(data: Path, shard: Shard) -> FileId:
    """(device, inode) of a file that has the size it should: reading past a truncated one kills the process.

    Raises:
        StoreError: missing, or another size.
    """
    try:
        stat = data.stat()
    except OSError as error:
        raise StoreError(
            f"cannot open the file: {os.strerror(error.errno or 0)}", where=str(data), fix=REBUILD
        ) from None
    if stat.st_size != shard.bytes:
        raise StoreError(
            f"the file has {stat.st_size} bytes, the header says {shard.bytes}", where=str(data), fix=REBUILD
        )
    return stat.st_dev, stat.st_ino


@cache
def _most_open() -> int:
    """Files that may be open at once: half of what the system allows; then the longest open one is closed."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 256
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 4096 if allowed == resource.RLIM_INFINITY else min(4096, max(8, allowed // 2))


def _watch_forks() -> None:
    global _watching
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
        _watching = True


def _before_fork() -> None:
    _lock.acquire()
    for file in _files.values():
        file.close()


def _after_fork() -> None:
    _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
