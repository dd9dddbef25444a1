"""Who is at work: locks that the kernel holds for a process, and which process owns a name."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from cnclip.errors import ResourceError

_PATIENCE_SECONDS = 1.0  # for an owner that has the lock and has not written its number yet


class FileLock:
    """A lock file that one process holds at a time; the lock of a process that died is free.

    Args:
        path: the lock file; it holds the owner's number and host, and goes when the lock is given back.
        where: what is locked, for the message.
        busy: what the owner is doing, such as `is training in this folder`.
        fix: what somebody who is refused can do.
    """

    def __init__(self, path: Path, *, where: Path, busy: str, fix: str) -> None:
        self.path = path
        self._where, self._busy, self._fix = where, busy, fix
        self._descriptor = -1

    def __enter__(self) -> FileLock:
        """Take the lock.

        Raises:
            ResourceError: another process has it (its number and host are named), or none can be had here.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._acquire()
        except OSError as error:
            raise ResourceError(
                f"cannot lock: {error.strerror}", where=str(self.path), fix="choose a folder on a local disk"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _acquire(self) -> int:
        import fcntl  # not on Windows, where models can be loaded but nothing is locked

        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            taken = False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_still(descriptor):  # its last owner may have removed it since we opened it
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, _owner())
                    taken = True
            except (BlockingIOError, PermissionError):  # the second from some network file systems
                owner = _read_owner(descriptor)
                if owner is not None or time.monotonic() > deadline:
                    raise ResourceError(
                        f"{owner or 'another process'} {self._busy}", where=str(self._where), fix=self._fix
                    ) from None
                time.sleep(0.01)
            finally:
                if not taken:
                    os.close(descriptor)
            if taken:
                return descriptor

    def _is_still(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


def process_runs(pid: int) -> bool:
    """Whether a process of this machine has the number `pid`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def host_tag() -> str:
    """This machine's name in letters, digits and `_`; different names have different tags."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in socket.gethostname())


def _owner() -> bytes:
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()


def _read_owner(descriptor: int) -> str | None:
    """Who holds the lock; None while that is a dead predecessor or nobody yet."""
    try:
        owner = json.loads(os.read(descriptor, 1000))
        pid, host = int(owner["pid"]), str(owner["host"])
    except (ValueError, KeyError, TypeError):
        return None
    if host == socket.gethostname() and not process_runs(pid):
        return None
    return f"process {pid} on {host}"
