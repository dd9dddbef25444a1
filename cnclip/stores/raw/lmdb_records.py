"""Records of somebody else's LMDB: read-only, without locks, with little of the file mapped at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import lmdb

from cnclip.errors import ResourceError, StoreError
from cnclip.stores.raw.lmdb_splits import DATA

# Pages that were read stay mapped and count as this process's memory; opening anew gives them back.
_SLICE_BYTES = 32 << 20
_SLICE_RECORDS = 1 << 17
_COPY = "copy it again"


@contextmanager
def reading(folder: Path) -> Generator[lmdb.Transaction]:
    """A read transaction; the LMDB may lie on a read-only disk.

    A file that is cut is found here. One that is damaged inside may still end the process with a bus error:
    LMDB has no checksums.

    Raises:
        StoreError: no LMDB, a cut or damaged one.
        ResourceError: the system will not map the file.
    """
    try:
        environment = lmdb.open(
            str(folder), readonly=True, create=False, lock=False, readahead=False, max_spare_txns=1
        )
    except lmdb.Error as error:
        raise StoreError(f"not an LMDB that can be read: {error}", where=str(folder), fix=_COPY) from None
    try:
        _check_size(environment, folder / DATA)
        with environment.begin(buffers=True) as transaction:
            yield transaction
    except lmdb.MemoryError as error:
        raise ResourceError(
            f"cannot map the LMDB: {error}", where=str(folder), fix="ulimit -v unlimited"
        ) from None
    except lmdb.Error as error:
        raise StoreError(f"the LMDB is damaged: {error}", where=str(folder), fix=_COPY) from None
    finally:
        environment.close()


def get(transaction: lmdb.Transaction, key: bytes) -> bytes | None:
    """The value of a key, copied."""
    value = transaction.get(key)
    return None if value is None else bytes(value)


def records(folder: Path) -> Iterator[tuple[bytes, bytes | memoryview]]:
    """All records in the order of their keys; a value must be used before the next one is asked for.

    Raises:
        StoreError, ResourceError: as `reading`.
    """
    last: bytes | None = None
    while True:
        given, more = 0, False
        with reading(folder) as transaction:
            cursor = transaction.cursor()
            if last is not None and not cursor.set_range(last):
                return
            # iternext begins at the cursor, which stands on the record that was given last
            for key, value in islice(cursor.iternext(), 0 if last is None else 1, None):
                last = bytes(key)
                yield last, value
                given += len(value)
                if given > _SLICE_BYTES:
                    more = True
                    break
        if not more:
            return


def numbered(folder: Path, count: int | None) -> Iterator[bytes]:
    """Values under the keys 0, 1, 2, … up to `count`, or to the first number that is not there.

    Raises:
        StoreError, ResourceError: as `reading`.
    """
    number = 0
    while True:
        with reading(folder) as transaction:
            for _ in range(_SLICE_RECORDS):
                value = get(transaction, str(number).encode()) if count is None or number < count else None
                if value is None:
                    return
                yield value
                number += 1


def _check_size(environment: lmdb.Environment, file: Path) -> None:
    """Refuse a file that is cut: reading past its end kills the process with a bus error."""
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if file.stat().st_size < needed:
        raise StoreError(
            f"the LMDB is cut: expected {needed} bytes, has {file.stat().st_size}", where=str(file), fix=_COPY
        )
