"""One builder per target: a lock file with the owner's number, held by the kernel, gone with its process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnclip.errors import ResourceError


@contextmanager
def build_lock(target: Path) -> Iterator[None]:
    """Hold `.NAME.lock` beside `target`; the lock of a process that died is taken over.

    Raises:
        ResourceError: another process builds the same target; its number and machine are named.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.parent / f".{target.name}.lock"
    descriptor = _acquire(path, target)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, target: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(descriptor, 1000).decode(errors="replace")
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise ResourceError(
                    f"the file system has no locks: {error}", where=str(path), fix="build on a local disk"
                ) from None
            raise ResourceError(
                f"another process builds this store{_owner_named(owner)}",
                where=str(target),
                fix="wait for it, end it, or choose another target",
            ) from None
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # its last owner removed the file between our open and our lock


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _owner_named(text: str) -> str:
    try:
        owner = json.loads(text)
        return f" (process {owner['pid']} on {owner['host']})"
    except (ValueError, KeyError, TypeError):
        return ""
