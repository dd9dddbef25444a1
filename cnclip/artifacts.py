"""The only room that writes under a final name: temporary name, fsync, manifest, rename.

A finished folder never changes; a new one is built beside it and swapped in. A crash at any moment
leaves the old artefact or the new one, never a half: whatever is unfinished has a name that starts
with `.tmp-` (being written), `.old-` (moved aside for its successor) or `.del-` (being removed), and the
next writer on the same host sweeps it, or puts the old one back where the successor never came.
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
from cnclip.locks import host_tag, process_runs

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 1
_AGAIN = "copy the folder again or rebuild it"
_TEMPORARY, _ASIDE, _DELETED = ".tmp-", ".old-", ".del-"
_RESOURCE_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.ELOOP,
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
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / _hidden_name(_TEMPORARY, path.name)
        try:
            yield temporary
            flush_to_disk(temporary)
            os.replace(temporary, path)
            flush_to_disk(path.parent)
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
        ArtifactError: see check_target.
        ResourceError: disk full, no permission, read-only file system.
    """
    path = Path(path)
    with translated(path):
        check_target(path, replace=replace)
        temporary = path.parent / _hidden_name(_TEMPORARY, path.name)
        temporary.mkdir()
        try:
            yield temporary
            _commit_dir(temporary, path, dict(facts or {}))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_target(path: Path, *, replace: bool = False) -> None:
    """Refuse before the work what could not be committed after it; the parent folder is made and swept.

    Raises:
        ArtifactError: `path` exists and `replace` is False, or what is there is no artefact and not empty.
        ResourceError: no permission, read-only file system.
    """
    path = Path(path)
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        if path.exists() and not replace:
            raise ArtifactError(
                "the target exists already", where=str(path), fix="choose another name or remove it"
            )
        _refuse_to_displace(path)


def commit_dir(folder: Path, path: Path, *, facts: Mapping[str, Any]) -> None:
    """Give a folder that its writer kept under a name of its own a manifest and the final name.

    What is there already is swapped out, if it is an artefact. A crash leaves the folder where it was, or
    under its final name; until then the call may be repeated.

    Args:
        folder: complete, on the same file system as `path`.
        path: the final folder.
        facts: JSON values for the manifest.

    Raises:
        ArtifactError: what is there is no artefact and not empty.
        ResourceError: disk full, no permission, read-only file system.
    """
    with translated(path):
        _commit_dir(folder, path, dict(facts))


def remove_dir(path: Path) -> None:
    """Delete a finished folder so that no crash leaves a half of it under its name."""
    path = Path(path)
    with translated(path):
        doomed = path.parent / _hidden_name(_DELETED, path.name)
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def read_manifest(path: Path) -> Manifest:
    """Read a folder's manifest and check it against its own sha256, without hashing the files.

    Raises:
        ArtifactError: no manifest, a damaged one, or one that this version cannot read.
    """
    where = Path(path) / MANIFEST_NAME
    value = read_json(where)
    if not isinstance(value, dict) or value.get("format") != MANIFEST_FORMAT:
        raise ArtifactError("the manifest has an unknown format", where=str(where), fix="upgrade cnclip")
    if value.pop("sha256", None) != _content_sha256(value):
        raise ArtifactError("the manifest differs from its own sha256", where=str(where), fix=_AGAIN)
    try:
        files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in value["files"].items()}
        return Manifest(facts=dict(value["facts"]), files=files)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArtifactError("the manifest lacks facts or files", where=str(where), fix=_AGAIN) from None


def write_manifest(path: Path, facts: Mapping[str, Any]) -> None:
    """Say in a manifest what a folder now holds; an older manifest is replaced."""
    path, files = Path(path), {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name != MANIFEST_NAME:
            files[name] = {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
    content = {"format": MANIFEST_FORMAT, "facts": dict(facts), "files": files}
    write_json(path / MANIFEST_NAME, {**content, "sha256": _content_sha256(content)})


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
            raise ArtifactError(f"{name} is missing", where=str(path), fix=_AGAIN)
        if file.stat().st_size != size:
            raise ArtifactError(
                f"{name} has {file.stat().st_size} bytes, the manifest says {size}",
                where=str(path),
                fix=_AGAIN,
            )
        if deep and sha256_file(file) != digest:
            raise ArtifactError(f"{name} differs from its sha256", where=str(path), fix=_AGAIN)
    return manifest


def sweep(parent: Path) -> list[Path]:
    """Clear what processes of this host that no longer run left unfinished; returns what was found.

    Leftovers of other hosts stay: whether their writers still run is known only there.
    """
    leftovers = []
    for leftover in sorted(Path(parent).glob(".*-*-*-*-*")):
        if not leftover.name.startswith((_TEMPORARY, _ASIDE, _DELETED)):
            continue
        _, host, owner, _, name = leftover.name.split("-", 4)
        if host != host_tag() or not owner.isdigit() or process_runs(int(owner)):
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


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with translated(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write readable UTF-8 JSON atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: no such file, not UTF-8, not JSON, a number of thousands of digits.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{Path(path).name} is missing", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{Path(path).name} is not JSON: {error}", where=str(path)) from None


def _commit_dir(temporary: Path, path: Path, facts: dict[str, Any]) -> None:
    write_manifest(temporary, facts)
    for entry in [*temporary.rglob("*"), temporary]:
        if entry.is_file() or entry.is_dir():
            flush_to_disk(entry)
    if path.exists():
        _refuse_to_displace(path)
        aside = path.parent / _hidden_name(_ASIDE, path.name)
        path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            aside.rename(path)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(path)
    flush_to_disk(path.parent)


def _refuse_to_displace(path: Path) -> None:
    """What is no artefact of ours is never swapped out: the name may be a slip. Nor is what a user put in."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.is_dir() and (path / MANIFEST_NAME).is_file():
        known = {MANIFEST_NAME, *read_manifest(path).files}
        present = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
        foreign = sorted(
            str(name)
            for name in present
            if name.as_posix() not in known and not any(part.startswith(".") for part in name.parts)
        )
        if foreign:
            raise ArtifactError(
                f"the folder holds what is not its own: {', '.join(foreign[:3])}",
                where=str(path),
                fix="move that elsewhere, or choose another name",
            )
        return
    if path.exists():
        raise ArtifactError(
            f"what is there was not made by cnclip: it has no {MANIFEST_NAME}",
            where=str(path),
            fix="choose another name, or move it away",
        )


def _content_sha256(content: dict[str, Any]) -> str:
    """sha256 of a manifest's other members, the same for every way to write them as JSON."""
    canonical = json.dumps(json.loads(json.dumps(content)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _hidden_name(prefix: str, name: str) -> str:
    return f"{prefix}{host_tag()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{name}"


def flush_to_disk(path: Path) -> None:
    """What was written to a file, or the names in a folder, survive a loss of power after this."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _obstacle(path: Path) -> Path | None:
    """What stands where a folder of a path must be; None where every one is a folder, or can be."""
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), None)
    return None if there is None or there.is_dir() else there


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write at `path` into an error that says what to do.

    Raises:
        ResourceError: disk full, no permission, read-only file system, file too large.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _RESOURCE_ERRNOS:
            raise
        if error.errno in (errno.ENOTDIR, errno.EEXIST) and (obstacle := _obstacle(path)) is not None:
            kind = "a file" if obstacle.exists() else "a link to nothing"
            raise ResourceError(
                f"cannot write: {obstacle} is {kind}, not a folder ({os.strerror(error.errno)})",
                where=str(path),
                fix=f"choose another folder, or move {obstacle.name} away",
            ) from error
        place = path.parent if path.parent.exists() else Path.cwd()
        free = shutil.disk_usage(place).free
        raise ResourceError(
            f"cannot write: {os.strerror(error.errno or 0)} ({free / 1e9:.2f} GB free)",
            where=str(path),
            fix="free some space, or choose a folder that can be written",
        ) from error
