"""The Hugging Face hub: what it says about files, and the cache that its library shares with us."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from cnclip.errors import CnclipError, ResourceError, UnknownNameError
from cnclip.hub.names import is_safe_file
from cnclip.hub.settings import answer_seconds, endpoint, hugging_face_cache
from cnclip.hub.transfer import RemoteFile
from cnclip.hub.web import GATED, StatusTrouble, TransientTrouble

_SAFE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def describe(repository: str, file: str, revision: str) -> RemoteFile:
    """Ask the hub for the commit, size and digest of one file.

    Raises:
        StatusTrouble, TransientTrouble: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    origin = endpoint("huggingface")
    address = hf_hub_url(repository, file, revision=revision, endpoint=origin)
    try:
        said = get_hf_file_metadata(address, token=_token(), timeout=answer_seconds(), endpoint=origin)
    except Exception as error:  # the library raises its own errors, those of its HTTP client, and ValueErrors
        raise _trouble(error) from error
    commit = _safe_word(said.commit_hash) or revision
    return RemoteFile(
        repository,
        file,
        address=hf_hub_url(repository, file, revision=commit, endpoint=origin),
        origin=origin,
        revision=commit,
        etag=said.etag,
        size=said.size,
        token=_token(),
    )


def listing(repository: str, revision: str) -> list[RemoteFile]:
    """All files of a repository at the commit that `revision` is now; unsafe names are left out.

    Raises:
        StatusTrouble, TransientTrouble: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi, hf_hub_url

    origin = endpoint("huggingface")
    try:
        info = HfApi(endpoint=origin, token=_token()).model_info(
            repository, revision=revision, files_metadata=True, timeout=answer_seconds()
        )
    except Exception as error:
        raise _trouble(error) from error
    commit = _safe_word(info.sha) or revision
    return [
        RemoteFile(
            repository,
            sibling.rfilename,
            address=hf_hub_url(repository, sibling.rfilename, revision=commit, endpoint=origin),
            origin=origin,
            revision=commit,
            etag=sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id,
            size=sibling.size,
            token=_token(),
        )
        for sibling in info.siblings or []
        if is_safe_file(sibling.rfilename)
    ]


def cached_snapshot(repository: str, revision: str) -> Path | None:
    """The folder of the cache that holds a repository at a branch or commit; None where there is none."""
    storage = _storage(repository)
    reference = storage / "refs" / revision
    try:
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
        folder = storage / "snapshots" / commit
        return folder if is_safe_file(commit) and folder.is_dir() else None
    except (OSError, ValueError):
        return None


def cached_digest(path: Path) -> str | None:
    """The digest of a file in the cache: the name of the blob that it points to."""
    name = Path(os.path.realpath(path)).name
    return name if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", name) else None


def blob_file(remote: RemoteFile) -> Path:
    """Where the cache keeps the content of a file."""
    name = _safe_word(remote.etag)
    if name is None:
        raise ResourceError(
            f"the server gives no usable etag for {remote.file}",
            where=remote.address,
            fix="set HF_ENDPOINT to a mirror of the Hugging Face hub",
        )
    return _storage(remote.repository) / "blobs" / name


def link_into_cache(remote: RemoteFile, blob: Path) -> Path:
    """Enter a blob into the snapshot of its commit, as huggingface_hub does; returns the link."""
    pointer = _storage(remote.repository) / "snapshots" / remote.revision / remote.file
    if not (pointer.exists() and pointer.samefile(blob)):
        pointer.parent.mkdir(parents=True, exist_ok=True)
        fresh = pointer.with_name(f"{pointer.name}.{os.getpid()}.part")
        fresh.unlink(missing_ok=True)
        try:
            fresh.symlink_to(os.path.relpath(blob, pointer.parent))
        except OSError:  # a system without symbolic links
            shutil.copyfile(blob, fresh)
        os.replace(fresh, pointer)
    return pointer


def remember_commit(repository: str, revision: str, commit: str) -> None:
    """Write down which commit a branch is, so that its files are found without the network."""
    reference = _storage(repository) / "refs" / revision
    if revision != commit and not (reference.is_file() and reference.read_text() == commit):
        reference.parent.mkdir(parents=True, exist_ok=True)
        fresh = reference.with_name(f"{reference.name}.{os.getpid()}.part")
        fresh.write_text(commit)
        os.replace(fresh, reference)


def _storage(repository: str) -> Path:
    return hugging_face_cache() / ("models--" + repository.replace("/", "--"))


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _safe_word(word: str | None) -> str | None:
    return word if word is not None and _SAFE_WORD.fullmatch(word) else None


def _trouble(error: Exception) -> StatusTrouble | TransientTrouble | CnclipError:
    """What an error of huggingface_hub or of its HTTP client means."""
    from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(error, GatedRepoError):
        return StatusTrouble(403, GATED)
    if isinstance(error, OfflineModeIsEnabled):
        return StatusTrouble(0, "huggingface_hub was imported while HF_HUB_OFFLINE was set")
    if isinstance(error, HFValidationError):
        return UnknownNameError(str(error), fix="write it as owner/name, as on the hub")
    if isinstance(status, int) and status not in {408, 425, 429} and status < 500:
        return StatusTrouble(status, f"the server answered {status}")
    reason = f"the server answered {status}" if isinstance(status, int) else _first_line(error)
    after = getattr(response, "headers", {}).get("Retry-After", "") if response is not None else ""
    return TransientTrouble(reason, float(after) if after.isdigit() else None)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
