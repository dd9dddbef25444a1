"""A folder to a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from cnclip.errors import CnclipError, ResourceError, UnknownNameError
from cnclip.hub.names import check_repository
from cnclip.hub.settings import endpoint, is_offline

_LEFT_OUT = [".cache/**", ".tmp-*", ".old-*", ".del-*", "*.part", ".*.lock"]


def push_folder(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload a folder as one commit; a repository that does not exist is made.

    Args:
        folder: all its files go, but downloads in progress and caches.
        repository: owner/name.
        private: whether a new repository is shown to its members only; one that exists stays as it is.
        message: first line of the commit.

    Returns:
        the address of the commit.

    Raises:
        UnknownNameError: no such folder, owner or repository.
        ResourceError: offline, no token, no right to write there, no network.
    """
    check_repository(repository, None)
    origin = endpoint("huggingface")
    where = f"{origin}/{repository}"
    if not Path(folder).is_dir():
        raise UnknownNameError(f"no such folder: {folder}", fix="give a checkpoint folder that exists")
    if is_offline():
        raise ResourceError(
            "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to upload",
            where=where,
            fix="unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE",
        )
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise _not_logged_in("nobody is logged in", where)
    api = HfApi(endpoint=origin)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=message, ignore_patterns=_LEFT_OUT
        )
    except Exception as error:  # errors of the library, of its HTTP client, of the uploading library
        raise _translated(error, where) from error
    return str(done.commit_url)


def _translated(error: Exception, where: str) -> CnclipError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if status == 401:
        return _not_logged_in("the token is not valid", where)
    if status == 403:
        return ResourceError(
            f"the token has no right to write there: {reason}",
            where=where,
            fix="choose a repository of your own, or make a token with the right to write: hf auth login",
        )
    if status == 404:
        return UnknownNameError(
            f"the hub has no such owner or repository: {reason}",
            where=where,
            fix="check the repository's name",
        )
    return ResourceError(f"cannot upload: {reason}", where=where, fix="check the network, and run it again")


def _not_logged_in(what: str, where: str) -> ResourceError:
    return ResourceError(f"cannot upload: {what}", where=where, fix="run: hf auth login")
