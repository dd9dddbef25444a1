"""Remember that a file was found right, so that it is not hashed again: notes in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from pathlib import Path

_TICK_SECONDS = 0.02  # file systems keep times in ticks of up to 10 ms: a change within one shows no new time
_KEPT = 8  # verdicts per file


def user_cache() -> Path:
    """The folder where cnclip keeps what can be had again: `$XDG_CACHE_HOME/cnclip` or `~/.cache/cnclip`.

    Raises:
        RuntimeError: the user has no home folder.
    """
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root).expanduser() if root else Path.home() / ".cache") / "cnclip"


def is_stamped(path: Path, sha256: str) -> bool:
    """Whether this very file, unchanged since, was stamped with `sha256`; False where nothing is known."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        return bool(note["file"] == _identity(path.stat()) and sha256 in note["verdicts"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return False


def stamp(path: Path, sha256: str, *, seen: os.stat_result | None = None) -> None:
    """Write down that the file had this sha256.

    A cache folder that cannot be written is no error: the file is then hashed again next time.

    Args:
        path: the file.
        sha256: hexadecimal, or another word that names what was found right.
        seen: the file's status from before it was read; a file that has changed since is not stamped.
    """
    try:
        time.sleep(max(0.0, min(_TICK_SECONDS, path.stat().st_ctime + _TICK_SECONDS - time.time())))
        identity = _identity(path.stat())
        if seen is not None and _identity(seen) != identity:
            return
        note = _note(path)
        verdicts = [sha256]
        if note.exists():
            verdicts += _verdicts(note, identity, without=sha256)
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_name(f"{note.name}.{uuid.uuid4().hex[:8]}")
        value = {"path": str(path.absolute()), "file": identity, "verdicts": verdicts[:_KEPT]}
        temporary.write_text(json.dumps(value), encoding="utf-8")
        os.replace(temporary, note)
    except (OSError, RuntimeError, ValueError):
        return


def _verdicts(note: Path, identity: list[int], *, without: str) -> list[str]:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
        if value["file"] != identity:
            return []
        return [str(verdict) for verdict in value["verdicts"] if verdict != without]
    except (ValueError, KeyError, TypeError):
        return []


def _note(path: Path) -> Path:
    """One small file for each path, so that processes never write into the same one for different files."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return user_cache() / "stamps" / f"{name}.json"


def _identity(status: os.stat_result) -> list[int]:
    """Device, inode, size, and the times of the last change of bytes and of anything, in nanoseconds."""
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
