"""The only room that writes under a final name: temporary name, fsync, manifest, rename.

A finished folder never changes; a new one is built beside it and swapped in. A crash at any moment
leaves the old artefact or the new one, never a half: whatever is unfinished has a name that starts
with `.tmp-` (being written), `.old-` (moved aside for its successor) or `.del-` (being removed), and the
next writer sweeps it, or puts the old one back where the successor never came.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnclip.errors import ArtifactError, ResourceError

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 1
_TEMPORARY, _ASIDE, _DELETED = ".tmp-", ".old-", ".del-"
_RESOURCE_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.ENAMETOOLONG, errno.ENOTDIR,
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What a finished folder says about itself.

    Attributes:
        facts: JSON values that the writer put there (counts, fingerprints, versions).
        files: relative name -> (bytes, sha256).
    """

    facts: dict[str, Any]
    files: dict[str, tuple[int, str]]


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and takes the name.

    Raises:
        ResourceError: disk full, no permission, read-only file system.
    """
    path = Path(path)
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / _hidden_name(_TEMPORARY, path.name)
        try:
            yield temporary
            _fsync(temporary)
            os.replace(temporary, path)
            _fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(
    path: Path, *, facts: Mapping[str, Any] | None = None, replace: bool = False
) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it gets a manifest and takes the name.

    Args:
        path: the final folder.
        facts: JSON values for the manifest; a dict that the caller fills inside the block is read at its end.
        replace: swap out a folder that is already there; without it such a folder is an error.

    Raises:
        ArtifactError: `path` exists and `replace` is False.
        ResourceError: disk full, no permission, read-only file system.
    """
    path = Path(path)
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        if path.exists() and not replace:
            raise ArtifactError(
                "the target exists already", where=str(path), fix="choose another name or remove it"
            )
        temporary = path.parent / _hidden_name(_TEMPORARY, path.name)
        temporary.mkdir()
        try:
            yield temporary
            _commit_dir(temporary, path, dict(facts or {}))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_dir(path: Path) -> None:
    """Delete a finished folder so that no crash leaves a half of it under its name."""
    path = Path(path)
    with _translated(path):
        doomed = path.parent / _hidden_name(_DELETED, path.name)
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def read_manifest(path: Path) -> Manifest:
    """Read a folder's manifest without hashing its files.

    Raises:
        ArtifactError: no manifest, or one that this version cannot read.
    """
    where = Path(path) / MANIFEST_NAME
    value = read_json(where)
    if not isinstance(value, dict) or value.get("format") != MANIFEST_FORMAT:
        raise ArtifactError("the manifest has an unknown format", where=str(where), fix="upgrade cnclip")
    files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in value["files"].items()}
    return Manifest(facts=value["facts"], files=files)


def verify_dir(path: Path, *, deep: bool = True) -> Manifest:
    """Check a folder against its manifest: names and sizes always, sha256 if `deep`.

    Raises:
        ArtifactError: the first file that is missing, has another size or another hash.
    """
    path = Path(path)
    manifest = read_manifest(path)
    for name, (size, digest) in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise ArtifactError(
                f"{name} is missing", where=str(path), fix="copy the folder again or rebuild it"
            )
        if file.stat().st_size != size:
            raise ArtifactError(
                f"{name} has {file.stat().st_size} bytes, the manifest says {size}",
                where=str(path),
                fix="copy the folder again or rebuild it",
            )
        if deep and sha256_file(file) != digest:
            raise ArtifactError(
                f"{name} differs from its sha256", where=str(path), fix="copy the folder again or rebuild it"
            )
    return manifest


def sweep(parent: Path) -> list[Path]:
    """Clear what processes that no longer run left unfinished; returns the leftovers that were found."""
    leftovers = []
    for leftover in sorted(Path(parent).glob(".*-*-*-*")):
        if not leftover.name.startswith((_TEMPORARY, _ASIDE, _DELETED)):
            continue
        _, owner, _, name = leftover.name.split("-", 3)
        if not owner.isdigit() or process_runs(int(owner)):
            continue
        final = leftover.parent / name
        if leftover.name.startswith(_ASIDE) and not final.exists():
            leftover.rename(final)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
        leftovers.append(leftover)
    return leftovers


def process_runs(pid: int) -> bool:
    """Whether a process of this machine has the number `pid`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write readable UTF-8 JSON atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: no such file, not UTF-8, not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{Path(path).name} is missing", where=str(path)) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{Path(path).name} is not JSON: {error}", where=str(path)) from None


def _commit_dir(temporary: Path, path: Path, facts: dict[str, Any]) -> None:
    files = {}
    for file in sorted(temporary.rglob("*")):
        if file.is_file():
            _fsync(file)
            name = file.relative_to(temporary).as_posix()
            files[name] = {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
    manifest = temporary / MANIFEST_NAME
    content = {"format": MANIFEST_FORMAT, "facts": facts, "files": files}
    manifest.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _fsync(manifest)
    for folder in [*sorted(p for p in temporary.rglob("*") if p.is_dir()), temporary]:
        _fsync(folder)
    if path.exists():
        aside = path.parent / _hidden_name(_ASIDE, path.name)
        path.rename(aside)
        temporary.rename(path)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(path)
    _fsync(path.parent)


def _hidden_name(prefix: str, name: str) -> str:
    return f"{prefix}{os.getpid()}-{uuid.uuid4().hex[:8]}-{name}"


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _RESOURCE_ERRNOS:
            raise
        place = path.parent if path.parent.exists() else Path.cwd()
        free = shutil.disk_usage(place).free
        raise ResourceError(
            f"cannot write: {os.strerror(error.errno or 0)} ({free / 1e9:.2f} GB free)",
            where=str(path),
            fix="free some space, or choose a folder that can be written",
        ) from error
