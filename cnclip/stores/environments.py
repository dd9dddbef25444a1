"""One read-only LMDB environment per file and process: LMDB refuses a second, and none may cross a fork.

Environments open at the first read, are shared by all readers of the process, and are closed before a fork,
so that parent and child each open their own afterwards.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import lmdb

from cnclip.errors import StoreError
from cnclip.stores.layout import DATA_NAME, REBUILD, Shard
from cnclip.stores.shards import meta_checksum

FileId = tuple[int, int]
Cut = Callable[[memoryview], memoryview]


class SharedFile:
    """A shard's file, opened when it is first read.

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
        self._pid = 0
        self.users = 0

    def get(self, key: bytes, cut: Cut | None = None) -> memoryview | None:
        """A copy of the record of `key`, so that it outlives the read.

        Args:
            key: of the record.
            cut: chooses the part that is read and copied; None takes all.

        Raises:
            StoreError: the file has another size or start than the header says, or LMDB finds it damaged.
        """
        with _lock:
            if self._environment is None or self._pid != os.getpid():
                self._open()
            try:
                with self._environment.begin(buffers=True) as transaction:  # type: ignore[union-attr]
                    found = transaction.get(key)
                    if found is None:
                        return None
                    return memoryview(bytes(found if cut is None else cut(found)))
            except lmdb.Error as error:
                raise StoreError(
                    f"damaged file: {error}", where=str(self.folder / DATA_NAME), fix=REBUILD
                ) from None

    def close(self) -> None:
        """Close the environment; the next read opens it again."""
        if self._environment is not None and self._pid == os.getpid():
            self._environment.close()
        self._environment = None

    def _open(self) -> None:
        data = self.folder / DATA_NAME
        if check_size(data, self._shard) != self._identity:
            raise StoreError(
                "the store was replaced while in use", where=str(data), fix="start the run again"
            )
        if meta_checksum(data, self._shard.meta_bytes)[1] != self._shard.meta_crc:
            raise StoreError(
                "damaged file: its first pages differ from the header", where=str(data), fix=REBUILD
            )
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
        self._pid = os.getpid()


_lock = threading.Lock()
_files: dict[FileId, SharedFile] = {}
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
