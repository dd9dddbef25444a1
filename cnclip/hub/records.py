"""What a folder of downloads knows about its files: the digest that the hub gave for each."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from cnclip.hub.transfer import RemoteFile

_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")


def write_record(folder: Path, remote: RemoteFile) -> None:
    """Keep a file's digest in its folder; where that cannot be written the file is there all the same."""
    path = _record(folder, remote.file)
    value = {"repository": remote.repository, "revision": remote.revision, "digest": remote.digest}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.part")
        fresh.write_text(json.dumps(value), encoding="utf-8")
        os.replace(fresh, path)
    except OSError:
        return


def recorded_digest(folder: Path, file: str) -> str | None:
    """The digest from our record, else from the one that huggingface_hub keeps in a `local_dir`."""
    try:
        digest = json.loads(_record(folder, file).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        digest = _from_hugging_face(folder, file)
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _record(folder: Path, file: str) -> Path:
    return folder / ".cache" / "cnclip" / f"{file}.json"


def _from_hugging_face(folder: Path, file: str) -> str | None:
    """The second line of its metadata file is the etag."""
    path = folder / ".cache" / "huggingface" / "download" / f"{file}.metadata"
    try:
        return path.read_text(encoding="utf-8").splitlines()[1].strip()
    except (OSError, ValueError, IndexError):
        return None
