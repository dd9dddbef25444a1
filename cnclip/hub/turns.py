"""One process at a time fetches a file; the others wait, and find it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnclip.errors import ResourceError
from cnclip.hub.parts import disk
from cnclip.locks import FileLock

logger = logging.getLogger(__name__)
_LOOK_SECONDS = 0.1
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def turn(target: Path) -> Iterator[None]:
    """Hold the right to write `target`; wait while another process holds it.

    Where the system or the disk knows no locks the work is done without one: then bytes may be fetched twice,
    and a part that two have written into is found out by its digest.

    Raises:
        ResourceError: the folder cannot be written.
    """
    with disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if os.name != "nt":
            _take(target, stack)
        yield


def _take(target: Path, stack: contextlib.ExitStack) -> None:
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path, where=target, busy="is fetching this file", fix="wait until it is done")
    said = False
    while True:
        try:
            stack.enter_context(lock)
            return
        except ResourceError as error:
            if isinstance(error.__cause__, OSError):
                if error.__cause__.errno in _NO_LOCKS:
                    return
                with disk(target):
                    raise error.__cause__ from None
            if not said:
                logger.warning("%s: %s; waiting for it", target, error.what)
                said = True
            time.sleep(_LOOK_SECONDS)
