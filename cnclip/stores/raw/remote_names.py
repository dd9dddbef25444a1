"""Which remote files a URL means: one file, a folder, a name with braces or stars; and of which kind."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from cnclip.errors import SourceError
from cnclip.stores.raw.braces import expand_braces
from cnclip.stores.raw.remote import RemoteFile, file_system, patiently
from cnclip.stores.raw.rows import shown

MAX_FILES = 1_000_000


def remote_files(url: str, suffixes: tuple[str, ...]) -> tuple[str, list[RemoteFile]]:
    """(the URL that names are relative to, the files) in the order of their names.

    Whether files that are named one by one are there, `stamps_of_files` tells.

    Args:
        url: of a file, a folder, `s3://bucket/{00000..00012}.tar` or `s3://bucket/*.tar`.
        suffixes: of the names to take.

    Raises:
        SourceError: none, over a million, or an unknown protocol.
        ResourceError: out of reach, or a package or the permission is missing.
    """
    system, _ = file_system(url)
    files: list[RemoteFile] = []
    for text in expand_braces(url):
        files += _files(system, text, suffixes)
        if len(files) > MAX_FILES:
            raise SourceError(f"over {MAX_FILES} files", where=_plain(url), fix="give fewer at a time")
    if not files:
        raise SourceError(f"no {' or '.join(suffixes)} files", where=_plain(url), fix="check the URL")
    return _root(system, url, suffixes), files


def remote_kinds(url: str, suffixes: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Kind of source -> what gave it away.

    Args:
        url: as for `remote_files`.
        suffixes: kind -> endings of its files; one with the stem of an earlier kind's file says nothing.

    Raises:
        SourceError, ResourceError: as `remote_files`.
    """
    name = RemoteFile(url).name.lower()
    for kind, ends in suffixes.items():
        if name.endswith(ends):
            return {kind: f"a URL that ends in {name[name.rindex('.') :]}"}
    every = tuple(end for ends in suffixes.values() for end in ends)
    files = remote_files(url, every)[1]
    found: dict[str, list[RemoteFile]] = {}
    stems: set[str] = set()
    for kind, ends in suffixes.items():
        of_kind = [file for file in files if file.name.lower().endswith(ends)]
        # img2dataset keeps a table of facts, 00000.parquet, beside 00000.tar; tars come first
        if rest := [file for file in of_kind if _stem(file) not in stems]:
            found[kind] = rest
            stems.update(map(_stem, rest))
    return {kind: f"{len(of)} files, such as {shown(of[0].name)}" for kind, of in found.items()}


def _files(system: Any, text: str, suffixes: tuple[str, ...]) -> list[RemoteFile]:
    """The files of one URL without braces."""
    if "*" not in text and RemoteFile(text).name.lower().endswith(suffixes):
        return [RemoteFile(_canonical(system, text))]
    _, path = file_system(text)
    look = system.glob if "*" in text else system.find
    names = [str(name) for name in patiently(lambda: look(path), _plain(text))]
    files = [RemoteFile(str(system.unstrip_protocol(name))) for name in names]
    root = _canonical(system, text.partition("*")[0])
    inside = (file for file in files if not _is_hidden(str(file).removeprefix(root)))
    return sorted((file for file in inside if file.name.lower().endswith(suffixes)), key=str)


def _stem(file: RemoteFile) -> str:
    return str(file).rpartition("/")[0] + "/" + file.name.partition(".")[0]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _root(system: Any, url: str, suffixes: tuple[str, ...]) -> str:
    parts = re.split(r"[{*]", url, maxsplit=1)
    if len(parts) == 1 and not RemoteFile(url).name.lower().endswith(suffixes):
        return str(RemoteFile(_canonical(system, url))).rstrip("/")
    fixed = parts[0] + "x" if len(parts) > 1 else url
    return str(RemoteFile(_canonical(system, fixed))).rpartition("/")[0]


def _canonical(system: Any, url: str) -> str:
    """The URL as the file system spells it in its listings."""
    return str(system.unstrip_protocol(file_system(url)[1]))


def _plain(url: str) -> str:
    return str(RemoteFile(url))
