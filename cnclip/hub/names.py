"""Names that come from outside and become paths: only those that stay inside their folder."""

from __future__ import annotations

import re

from cnclip.errors import RefusedError, UnknownNameError

_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*", re.ASCII)
_LONGEST_PART = 200  # bytes; file systems take 255, and the names of parts and locks are longer


def is_safe_file(name: str) -> bool:
    """Whether a repository's file name is a plain relative path on every system.

    Refused are `..`, absolute paths, backslashes, drive letters, control characters and empty parts.
    """
    if any(character in name for character in "\\:") or not name.isprintable():
        return False
    return all(
        part not in {"", ".", ".."} and len(part.encode("utf-8", "replace")) <= _LONGEST_PART
        for part in name.split("/")
    )


def check_file(name: str, repository: str) -> None:
    """Raise RefusedError unless the name of a repository's file stays inside its folder."""
    if not is_safe_file(name):
        raise RefusedError(
            f"the file name {name!r} could leave its folder",
            where=repository,
            fix="use a repository whose files have plain relative names",
        )


def check_repository(repository: str, revision: str | None) -> None:
    """Raise UnknownNameError unless it reads like `owner/name`, and the revision like a branch or commit."""
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise UnknownNameError(
            f"{repository!r} is not the name of a repository", fix="write it as owner/name, as on the hub"
        )
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise UnknownNameError(
            f"{revision!r} is not a revision", where=repository, fix="give a branch or a commit"
        )
