"""A verified local file of a hub: what is there and whole is used, the rest is fetched."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cnclip.errors import ArtifactError, CnclipError, ResourceError, UnknownNameError
from cnclip.hub import huggingface, modelscope
from cnclip.hub.names import check_file, check_repository, is_safe_file
from cnclip.hub.parts import disk
from cnclip.hub.records import recorded_digest, write_record
from cnclip.hub.settings import DEFAULT_REVISIONS, HUB_TITLES, HubName, is_offline, modelscope_cache
from cnclip.hub.transfer import RemoteFile, download
from cnclip.hub.turns import turn
from cnclip.hub.wanted import Wanted, explained, offline_error
from cnclip.hub.web import TransientTrouble
from cnclip.hub.whole import check_itself, check_whole

logger = logging.getLogger(__name__)
_NOT_OF_A_REPOSITORY = re.compile(r"^\.cache/|\.part(\.etag)?$|\.lock$")
_HUBS = {"huggingface": huggingface, "modelscope": modelscope}
Answer = TypeVar("Answer")


def fetch_file(
    repository: str,
    file: str,
    *,
    hub: HubName = "huggingface",
    folder: Path | None = None,
    revision: str | None = None,
) -> Path:
    """The local path of a hub's file, whole; the network is asked only for what is not there.

    Args:
        repository: owner/name.
        file: its path in the repository.
        hub: which hub.
        folder: where the file is to lie; None = the Hugging Face cache, for ModelScope the cache of cnclip.
        revision: branch or commit; None = main, on ModelScope master.

    Raises:
        UnknownNameError: the hub has no such repository or file.
        ArtifactError: the hub's bytes are not those that it promises.
        ResourceError: offline, no network, no permission, a full disk.
        RefusedError: a file name that leaves its folder, an address that is not https.
    """
    return _fetch(_wanted(repository, file, hub, folder, revision), None)


def fetch_repository(
    repository: str,
    *,
    choose: Callable[[list[str]], list[str]],
    hub: HubName = "huggingface",
    folder: Path | None = None,
    revision: str | None = None,
) -> Path:
    """A local folder that holds the chosen files of a repository, all of one commit.

    The hub is asked for its list of files; where that cannot be had, the files that are there already serve.

    Args:
        repository: owner/name.
        choose: gets all file names of the repository and returns those that are wanted.
        hub, folder, revision: as for `fetch_file`.

    Raises:
        as `fetch_file`, and whatever `choose` raises.
    """
    wanted = _wanted(repository, None, hub, folder, revision)
    if is_offline():
        return _from_disk(wanted, choose, offline_error(wanted, None))
    try:
        remotes = {remote.file: remote for remote in _asked(wanted, _list_of(wanted))}
    except ResourceError as error:
        logger.warning("%s; looking at what is on the disk", error.what)
        return _from_disk(wanted, choose, error)
    chosen = [remotes[file] for file in _chosen(choose, sorted(remotes), wanted)]
    try:
        return _fetch_all(wanted, chosen)
    except ResourceError as error:
        if wanted.folder is not None:  # there one version lies upon the other
            raise
        place = _from_disk(wanted, choose, error)
        logger.warning("%s; the version that is on the disk serves", error.what)
        return place


def _fetch_all(wanted: Wanted, remotes: list[RemoteFile]) -> Path:
    """The folder of the files; the weights come last, so that no half of a model looks like a whole one."""
    for remote in sorted(remotes, key=lambda remote: remote.size or 0):
        path = _fetch(replace(wanted, file=remote.file, revision=remote.revision), remote)
    if wanted.folder is not None:
        return wanted.folder
    with contextlib.suppress(OSError):  # a cache that cannot be written may hold the files all the same
        huggingface.remember_commit(wanted.repository, wanted.revision, remote.revision)
    return path.parents[len(Path(remote.file).parts) - 1]


def _fetch(wanted: Wanted, remote: RemoteFile | None) -> Path:
    """Use the file that is there, or fetch it; `remote` is what the hub already said of it."""
    assert wanted.file is not None
    file, damage = wanted.file, None
    path = _existing(wanted, file)
    if path is not None:
        promised, size = (None, None) if remote is None else (remote.digest, remote.size)
        damage = _damage(path, promised or _known_digest(wanted.folder, path, file), size)
        if damage is None:
            return path
        logger.warning("%s: %s; it is fetched again", path, damage.what)
    if is_offline():
        raise offline_error(wanted, damage)
    if remote is None:
        remote = _asked(wanted, lambda: _HUBS[wanted.hub].describe(wanted.repository, file, wanted.revision))
    target = huggingface.blob_file(remote) if wanted.folder is None else wanted.folder / file
    with turn(target):
        if target.is_file():
            damage = _damage(target, remote.digest or _known_digest(wanted.folder, target, file), remote.size)
        if damage is not None and wanted.folder is not None:
            _keep_aside(target)
        if damage is not None or not target.is_file():
            with explained(wanted, digest=remote.digest):
                download(remote, target)
        if wanted.folder is not None:
            write_record(wanted.folder, remote)
            return target
        with disk(target):
            huggingface.remember_commit(wanted.repository, wanted.revision, remote.revision)
            return huggingface.link_into_cache(remote, target)


def _existing(wanted: Wanted, file: str) -> Path | None:
    folder = wanted.folder
    if folder is None:
        folder = huggingface.cached_snapshot(wanted.repository, wanted.revision)
    return folder / file if folder is not None and (folder / file).is_file() else None


def _known_digest(folder: Path | None, path: Path, file: str) -> str | None:
    """What the file on the disk must be, as far as that is known without the network."""
    return huggingface.cached_digest(path) if folder is None else recorded_digest(folder, file)


def _damage(path: Path, digest: str | None, size: int | None) -> ArtifactError | None:
    try:
        check_whole(path, sha256=digest, size=size)
    except ArtifactError as error:
        return error
    return None


def _keep_aside(target: Path) -> None:
    """A file that is not the hub's, and is whole by its own account, may be somebody's work."""
    try:
        check_itself(target, name=target.name)
    except (CnclipError, OSError):
        return
    aside = target.with_name(f"{target.name}.before")
    with disk(target):
        os.replace(target, aside)
    logger.warning("%s: what was there is kept as %s", target, aside.name)


def _from_disk(wanted: Wanted, choose: Callable[[list[str]], list[str]], otherwise: CnclipError) -> Path:
    """Choose among the files that are there; raise `otherwise` where they are too few."""
    folder = wanted.folder
    if folder is None:
        folder = huggingface.cached_snapshot(wanted.repository, wanted.revision)
    names = (
        [] if folder is None else [_relative(path, folder) for path in folder.rglob("*") if path.is_file()]
    )
    names = [name for name in names if is_safe_file(name) and not _NOT_OF_A_REPOSITORY.search(name)]
    if folder is None or not names:
        raise otherwise
    try:
        chosen = _chosen(choose, sorted(names), wanted)
    except CnclipError as error:
        raise otherwise from error
    for file in chosen:
        damage = _damage(folder / file, _known_digest(wanted.folder, folder / file, file), None)
        if damage is not None:
            raise damage from otherwise
    return folder


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _chosen(choose: Callable[[list[str]], list[str]], names: list[str], wanted: Wanted) -> list[str]:
    chosen = choose(names)
    missing = [name for name in chosen if name not in names]
    if missing or not chosen:
        what = ", ".join(missing) or "file that can be used"
        raise UnknownNameError(
            f"{wanted.repository} has no {what}; it has {', '.join(names)}",
            where=HUB_TITLES[wanted.hub],
            fix="check the repository's name",
        )
    return chosen


def _wanted(
    repository: str, file: str | None, hub: HubName, folder: Path | None, revision: str | None
) -> Wanted:
    check_repository(repository, revision)
    if file is not None:
        check_file(file, repository)
    revision = revision or DEFAULT_REVISIONS[hub]
    if folder is None and hub == "modelscope":
        folder = modelscope_cache(repository, revision)
    return Wanted(repository, file, hub, revision, None if folder is None else Path(folder))


def _list_of(wanted: Wanted) -> Callable[[], list[RemoteFile]]:
    return lambda: _HUBS[wanted.hub].listing(wanted.repository, wanted.revision)


def _asked(wanted: Wanted, question: Callable[[], Answer]) -> Answer:
    """The hub's answer; a question that fails for the moment is asked again."""
    with explained(wanted):
        for wait_seconds in (0.5, 1.0):
            try:
                return question()
            except TransientTrouble as trouble:
                time.sleep(wait_seconds if trouble.wait_seconds is None else min(trouble.wait_seconds, 10.0))
        return question()
