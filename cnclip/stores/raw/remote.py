"""Files behind URLs (s3://, https://, hf://, …) and what fsspec and the network make of them.

Errors of the network are tried again with growing pauses; what no repetition mends is told at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cnclip.errors import CnclipError, ResourceError, SourceError
from cnclip.stores.raw.rows import shown

_Result = TypeVar("_Result")
PAUSES_SECONDS: tuple[float, ...] = (1, 2, 4, 8, 16)  # between the attempts
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_COLLAPSED = re.compile(r"([a-z0-9]+):/(?!/)")  # what pathlib makes of a URL
_PASSWORD = re.compile(r"(?<=://)[^/@]*:[^/@]*@")
_STATUS_THREADS = 16
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp", "gs": "gcsfs",
    "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "oss": "ossfs", "sftp": "paramiko",
    "ssh": "paramiko", "hf": "huggingface_hub", "hdfs": "pyarrow", "webhdfs": "requests",
}  # fmt: skip
# what file systems call the version of a file, the surest first
_VERSIONS = ("ETag", "etag", "blob_id", "generation", "md5Hash", "LastModified", "last_modified",
             "Last-Modified", "mtime", "modified", "created")  # fmt: skip
_OUR_MISTAKES = (TypeError, AttributeError, NameError, AssertionError)
_MAY_RECOVER = (408, 425, 429)  # of the HTTP statuses 400 to 499


class LostSource(ResourceError):
    """A remote file that several attempts could not read on; its rows are not bad, a build goes on later."""


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL; `str()` leaves passwords and query strings out.

    Attributes:
        url: as fsspec takes it.
    """

    url: str

    @property
    def name(self) -> str:
        """Its last part."""
        return str(self).rpartition("/")[2]

    def __str__(self) -> str:
        url = _PASSWORD.sub("", self.url)
        return re.split(r"[?#]", url, maxsplit=1)[0] if url.lower().startswith("http") else url


def is_url(place: Path | str) -> bool:
    """Whether something is read over the network; `file://` is not, and a Path never is."""
    match = _URL.match(place) if isinstance(place, str) else None
    return match is not None and match[1].lower() != "file"


def local_path(place: Path | str) -> Path:
    """A place that is no URL as a path.

    Raises:
        SourceError: it is a URL, which this kind is not read from, or was one before it became a Path.
    """
    collapsed = _COLLAPSED.match(str(place))
    if collapsed is not None and collapsed[1] in _PACKAGES:
        raise SourceError(
            f"a URL that lost a slash: {shown(str(place))}",
            where=str(place),
            fix=f'give it as a string, "{collapsed[1]}://…", not as a Path',
        )
    if is_url(place):
        raise SourceError(
            "only tar shards and Parquet are read from a URL",
            where=str(RemoteFile(str(place))),
            fix="download it first, and give the path",
        )
    return Path(str(place).removeprefix("file://"))


def file_system(url: str) -> tuple[Any, str]:
    """(fsspec's file system, the path in it).

    Raises:
        ResourceError: fsspec, or the package of the protocol, is not installed; names it.
        SourceError: an unknown protocol.
    """
    protocol = url.partition("://")[0].lower()
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ResourceError(
            "URLs are read by fsspec, which is not installed", fix="pip install fsspec"
        ) from None
    try:
        system, path = url_to_fs(url)
    except ImportError:
        package = _PACKAGES.get(protocol, f"{protocol}fs")
        what = f"{protocol}:// is read by {package}, which is not installed"
        raise ResourceError(what, where=str(RemoteFile(url)), fix=f"pip install {package}") from None
    except ValueError as error:
        known = ", ".join(f"{name}://" for name in ("s3", "https", "hf", "gs", "oss"))
        raise SourceError(
            f"unknown protocol {protocol}://: {shown(str(error))}",
            where=str(RemoteFile(url)),
            fix=f"use {known} …",
        ) from None
    return system, path


def patiently(
    action: Callable[[], _Result], where: str, *, forget: Callable[[], None] | None = None
) -> _Result:
    """The action's result, after up to six attempts.

    Args:
        action: talks to the network.
        where: for messages, such as `s3://bucket/00000.tar@1024`.
        forget: called after a failure, to drop a broken connection.

    Raises:
        SourceError: no such file.
        ResourceError: no permission; LostSource where the attempts are used up.
    """
    attempts = (*PAUSES_SECONDS, None)
    for number, pause in enumerate(attempts, 1):
        try:
            return action()
        except (CnclipError, *_OUR_MISTAKES):
            raise
        except Exception as error:  # each file system has its own
            if forget is not None:
                forget()
            _raise_final(error, where)
            if pause is None:
                detail = shown(f"{type(error).__name__}: {error}", 200)
                raise LostSource(
                    f"cannot be reached after {number} attempts: {detail}",
                    where=where,
                    fix="check the network, and run the same command again",
                ) from None
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def stamps_of_files(files: Sequence[RemoteFile]) -> list[list[str | int]]:
    """[name, bytes or -1, what the store calls its version] of each file, several at a time.

    Raises:
        SourceError: files that are not there.
        ResourceError: out of reach, no permission, or a package is missing.
    """
    if not files:
        return []
    system, _ = file_system(files[0].url)
    system.invalidate_cache()

    def look(file: RemoteFile) -> list[str | int] | None:
        try:
            facts = patiently(lambda: system.info(file_system(file.url)[1]), str(file))
        except SourceError:
            return None
        size = facts.get("size")
        version = next((facts[name] for name in _VERSIONS if facts.get(name)), "")
        return [file.name, -1 if size is None else int(size), str(version)]

    with ThreadPoolExecutor(_STATUS_THREADS) as pool:
        found = list(pool.map(look, files))
    missing = [file for file, stamp in zip(files, found, strict=True) if stamp is None]
    if missing:
        raise SourceError(
            f"no such file: {missing[0]} ({len(missing)} of {len(files)} are missing)",
            where=str(missing[0]),
            fix="check the URL and the range",
        )
    return [stamp for stamp in found if stamp is not None]


def _raise_final(error: Exception, where: str) -> None:
    """Raise what no repetition mends.

    HTTP file systems call every failure "not found"; the status, where one is known, says more.
    """
    status = getattr(error.__cause__ or error, "status", None)
    if isinstance(error, PermissionError) or status in (401, 403):
        raise ResourceError(
            f"no permission: {shown(str(error))}",
            where=where,
            fix="give the credentials that its package reads",
        ) from None
    is_final = isinstance(status, int) and 400 <= status < 500 and status not in _MAY_RECOVER
    if is_final or (isinstance(error, FileNotFoundError) and error.__cause__ is None):
        raise SourceError(f"no such file: {where}", where=where, fix="check the URL") from None
