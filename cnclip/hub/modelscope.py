"""ModelScope by plain HTTPS: the list of a repository's files with sizes and digests, and their addresses."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from cnclip.hub.names import is_safe_file
from cnclip.hub.settings import endpoint
from cnclip.hub.transfer import RemoteFile
from cnclip.hub.web import StatusTrouble, TransientTrouble, read_json


def describe(repository: str, file: str, revision: str) -> RemoteFile:
    """Size and digest of one file, from the list of all.

    Raises:
        StatusTrouble, TransientTrouble: there is no such file, the hub refuses, or cannot be reached.
    """
    found = listing(repository, revision)
    for remote in found:
        if remote.file == file:
            return remote
    near = ", ".join(remote.file for remote in found[:20])
    raise StatusTrouble(404, f"the repository has no such file; it has {near or 'none at all'}")


def listing(repository: str, revision: str) -> list[RemoteFile]:
    """All files of a repository; names that are unsafe as paths are left out.

    Raises:
        StatusTrouble, TransientTrouble: the hub refuses, or cannot be reached.
    """
    origin = endpoint("modelscope")
    query = urlencode({"Revision": revision, "Recursive": "True"})
    answer = read_json(f"{origin}/api/v1/models/{quote(repository)}/repo/files?{query}", origin=origin)
    try:
        if not answer.get("Success", True) or answer.get("Data") is None:
            raise StatusTrouble(
                404, f"the server says: {answer.get('Message') or 'there is no such repository'}"
            )
        entries = [entry for entry in answer["Data"]["Files"] or [] if entry["Type"] == "blob"]
        return [_remote(repository, revision, entry) for entry in entries if is_safe_file(str(entry["Path"]))]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TransientTrouble("the server's list of files has an unknown form") from error


def _remote(repository: str, revision: str, entry: dict[str, Any]) -> RemoteFile:
    file = str(entry["Path"])
    size = entry.get("Size")
    origin = endpoint("modelscope")
    return RemoteFile(
        repository,
        file,
        address=f"{origin}/models/{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(file)}",
        origin=origin,
        revision=revision,
        etag=str(entry["Sha256"]).lower() if entry.get("Sha256") else None,
        size=int(size) if size is not None else None,
    )
