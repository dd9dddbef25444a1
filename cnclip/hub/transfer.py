"""Bytes from a hub to a file: resumed after a cut, compared with the digest, renamed when whole."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnclip.errors import ArtifactError
from cnclip.hub.parts import check_space, commit, disk, part_file, part_size
from cnclip.hub.web import StatusTrouble, TransientTrouble, open_address
from cnclip.hub.whole import check_itself, digest_kind, digest_of
from cnclip.stamps import stamp

logger = logging.getLogger(__name__)
_PIECE_BYTES = 1 << 18
_PROGRESS_BYTES = 1 << 20  # a try that brought so much was not in vain
_UNCHANGED_BY_RENAMING = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
_TOTAL = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a hub's repository at one revision.

    Attributes:
        repository: owner/name.
        file: path within the repository.
        address: where its bytes are.
        origin: the hub's endpoint.
        revision: the commit, or the branch where the hub does not say.
        etag: what the hub calls this content: its sha256, its git blob sha1, or a word of its own.
        size: bytes; None where the hub does not say.
        token: sent to the endpoint only.
    """

    repository: str
    file: str
    address: str
    origin: str
    revision: str
    etag: str | None = None
    size: int | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def digest(self) -> str | None:
        """The etag where it is a digest of the content."""
        known = self.etag is not None and re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", self.etag)
        return self.etag if known else None


@dataclass(frozen=True)
class Patience:
    """How long a download goes on where nothing comes.

    Attributes:
        tries: in a row that bring less than 1 MiB.
        first_wait_seconds: before the second try; each further wait is twice as long.
        longest_wait_seconds: a server that asks for more is given up.
    """

    tries: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


def download(remote: RemoteFile, target: Path, *, patience: Patience | None = None) -> None:
    """Fetch a file to its final name; the caller holds its lock.

    What has come lies in a `.part` file beside the target, where the next try and the next process go on.

    Raises:
        ArtifactError: twice the bytes were others than the hub's digest says.
        ResourceError: the disk is full, or the folder cannot be written.
        TransientTrouble: the network or the server failed to the end of the patience.
        StatusTrouble: the server refuses (401, 403, 404 …).
    """
    part = part_file(target, remote.etag or remote.revision)
    with disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    for last in (False, True):
        _receive(remote, part, patience or Patience())
        with disk(target):
            seen = part.stat()  # before hashing: what changes meanwhile must not be remembered as good
            wrong = _difference(part, remote)
            if wrong is None:
                commit(part, target)
                break
            part.unlink()
        if last:
            raise ArtifactError(
                f"{remote.file} of {remote.repository} {wrong}, twice",
                where=remote.address,
                fix="try another mirror (HF_ENDPOINT) or hub; nothing was kept",
            )
        logger.warning("%s: what came %s; fetching it once more", remote.address, wrong)
    if remote.digest is not None:
        _remember(target, remote.digest, seen)


def _receive(remote: RemoteFile, part: Path, patience: Patience) -> None:
    """Try until the part file is complete."""
    vain = 0
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(_progress(remote))
        while True:
            have = part_size(part)
            if remote.size is not None and have > remote.size:
                part.unlink()
                have = 0
            if remote.size is not None and have == remote.size and part.exists():
                return
            try:
                _receive_once(remote, part, have, bar)
                return
            except TransientTrouble as trouble:
                vain = vain + 1 if part_size(part) - have < _PROGRESS_BYTES else 0
                wait = trouble.wait_seconds
                if vain >= patience.tries or (wait or 0) > patience.longest_wait_seconds:
                    raise _given_up(trouble, part) from trouble
                if wait is None:
                    wait = patience.first_wait_seconds * 2 ** max(vain - 1, 0)
                logger.info("%s: %s; again in %g s", remote.address, trouble.reason, wait)
                time.sleep(wait)


def _receive_once(remote: RemoteFile, part: Path, have: int, bar: Any) -> None:
    headers = {} if remote.token is None else {"Authorization": f"Bearer {remote.token}"}
    validator = part.with_name(part.name + ".etag")
    if have:
        headers["Range"] = f"bytes={have}-"
        if remote.digest is None:  # nothing else would tell that the file on the server is another one by now
            headers["If-Range"] = validator.read_text() if validator.exists() else '""'
    try:
        response = open_address(remote.address, headers, origin=remote.origin)
    except StatusTrouble as trouble:
        if trouble.status != 416:
            raise
        part.unlink(missing_ok=True)
        raise TransientTrouble(trouble.reason) from trouble
    with response:
        start, total = _extent(response, remote, have)
        with disk(part):
            check_space(part, (total or 0) - start)
            if remote.digest is None and start == 0:
                validator.write_text(response.headers.get("ETag") or '""')
            with open(part, "r+b" if start else "wb") as file:
                file.seek(start)
                bar.reset(total=total)
                bar.initial = bar.n = bar.last_print_n = start
                for piece in _pieces(response):
                    if total is not None and file.tell() + len(piece) > total:
                        raise TransientTrouble(f"the server sends more than {total} bytes")
                    file.write(piece)
                    bar.update(len(piece))
    if total is not None and part_size(part) < total:
        raise TransientTrouble(f"the connection was cut after {part_size(part)} of {total} bytes")


def _extent(response: http.client.HTTPResponse, remote: RemoteFile, have: int) -> tuple[int, int | None]:
    """First byte that comes, and the bytes of the whole file."""
    kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
    if kind == "text/html" and Path(remote.file).suffix.lower() not in {".html", ".htm"}:
        raise TransientTrouble("the server sent a web page in place of the file (a login page, or a proxy's)")
    length = response.headers.get("Content-Length", "")
    start, total = 0, int(length) if length.isdigit() else None
    if response.status == 206:
        match = _TOTAL.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise TransientTrouble("the server sent another part of the file than it was asked for")
        start, total = have, int(match[2])
    if remote.size is not None and total not in {None, remote.size}:
        raise TransientTrouble(f"the server offers {total} bytes, the hub says {remote.size}")
    return start, remote.size if total is None else total


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes: a stall loses nothing that was received before."""
    while True:
        try:
            piece = response.read1(_PIECE_BYTES)
        except TimeoutError as error:
            raise TransientTrouble("the connection stalled") from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a cut chunk length
            raise TransientTrouble(f"the connection broke ({error or type(error).__name__})") from error
        if not piece:
            return
        yield piece


def _difference(part: Path, remote: RemoteFile) -> str | None:
    """How the bytes differ from what the hub promised; None where they do not."""
    if remote.digest is not None:
        found = digest_of(part, like=remote.digest)
        kind = digest_kind(found)
        return None if found == remote.digest else f"has {kind} {found}, the hub says {remote.digest}"
    try:
        check_itself(part, name=remote.file)
    except ArtifactError as error:
        return error.what
    return None


def _remember(target: Path, digest: str, seen: os.stat_result) -> None:
    """Stamp the file, unless it was written to since `seen`; its new name alone has changed its ctime."""
    with disk(target):
        now = target.stat()
    if all(getattr(now, key) == getattr(seen, key) for key in _UNCHANGED_BY_RENAMING):
        stamp(target, digest, seen=now)


def _given_up(trouble: TransientTrouble, part: Path) -> TransientTrouble:
    have = part_size(part)
    kept = f"; the {have / 1e6:.1f} MB that came are kept, and the next run goes on there" if have else ""
    asked = "" if trouble.wait_seconds is None else f", and asks to wait {trouble.wait_seconds:g} s"
    return TransientTrouble(f"{trouble.reason}{asked}{kept}", trouble.wait_seconds)


@contextlib.contextmanager
def _progress(remote: RemoteFile) -> Iterator[Any]:
    from tqdm import tqdm

    name = remote.file.rsplit("/", 1)[-1]
    with tqdm(desc=name, total=remote.size, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        yield bar
