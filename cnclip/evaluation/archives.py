"""NumPy archives (.npz) read whole, without pickles; whatever is wrong with the file is one SourceError."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnclip.errors import SourceError

# Each was met with on a file of random damage: broken zips, members, deflate streams and array headers.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class ArchiveWords:
    """What is said of an archive that cannot be read.

    Attributes:
        what: what it holds.
        missing: the message where there is no such file.
        fix: what the reader can do.
    """

    what: str
    missing: str
    fix: str


def read_archive(path: Path, words: ArchiveWords) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an archive, by their names.

    Raises:
        SourceError: no such file, a damaged one, one array in place of an archive, arrays of objects.
    """
    with _opened(path, words) as archive:
        return {name: archive[name] for name in archive.files}


def archive_names(path: Path, words: ArchiveWords) -> list[str]:
    """The names of an archive's arrays, none of which is read.

    Raises:
        SourceError: no such file, a damaged one, one array in place of an archive.
    """
    with _opened(path, words) as archive:
        return list(archive.files)


@contextmanager
def _opened(path: Path, words: ArchiveWords) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("one array (.npy), not an archive of named ones (.npz)")
            yield loaded
    except FileNotFoundError:
        raise SourceError(words.missing, where=str(path), fix=words.fix) from None
    except _DAMAGE as error:
        raise SourceError(f"cannot read {words.what}: {error}", where=str(path), fix=words.fix) from None
