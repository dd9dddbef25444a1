"""What is wanted of a hub, and what to say where it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cnclip.errors import ArtifactError, CnclipError, ResourceError, UnknownNameError
from cnclip.hub.settings import HUB_TITLES, HubName, endpoint
from cnclip.hub.web import StatusTrouble, TransientTrouble
from cnclip.hub.whole import digest_kind


@dataclass(frozen=True)
class Wanted:
    """One file of a repository, or its list of files, and where the file is to lie.

    Attributes:
        repository: owner/name.
        file: path within the repository; None where the list is wanted.
        hub: which hub.
        revision: branch or commit.
        folder: the file lies in `folder / file`; None = in the Hugging Face cache.
    """

    repository: str
    file: str | None
    hub: HubName
    revision: str
    folder: Path | None

    @property
    def address(self) -> str:
        """Where a person finds it."""
        models = "models/" if self.hub == "modelscope" else ""
        place = f"{endpoint(self.hub)}/{models}{self.repository}"
        return place if self.file is None else f"{place}/resolve/{self.revision}/{quote(self.file)}"

    @property
    def title(self) -> str:
        """What it is, for a sentence."""
        return f"{self.file or 'the list of files'} of {self.repository}"


def offline_error(wanted: Wanted, damage: ArtifactError | None) -> ResourceError:
    """It is not on the disk, or damaged there, and the network is forbidden."""
    state = "is not on this machine" if damage is None else f"is damaged on this machine ({damage.what})"
    return ResourceError(
        f"{wanted.title} {state}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to fetch it",
        where=wanted.address,
        fix=f"unset both (HF_ENDPOINT chooses a mirror), or {_by_hand(wanted)}",
    )


@contextmanager
def explained(wanted: Wanted, *, digest: str | None = None) -> Iterator[None]:
    """Turn what a hub answers, or does not answer, into an error that says what to do.

    Args:
        wanted: what is asked for.
        digest: of the file, where it is known by now; who fetches it by hand can compare.
    """
    try:
        yield
    except TransientTrouble as trouble:
        content = "" if digest is None else f" ({digest_kind(digest)} {digest})"
        raise ResourceError(
            f"cannot fetch {wanted.title}{content} from {HUB_TITLES[wanted.hub]}: {trouble.reason}",
            where=wanted.address,
            fix=f"check the network and its proxy, {_elsewhere(wanted)}, or {_by_hand(wanted)}",
        ) from trouble
    except StatusTrouble as trouble:
        raise _refusal(wanted, trouble) from trouble


def _refusal(wanted: Wanted, trouble: StatusTrouble) -> CnclipError:
    hub = HUB_TITLES[wanted.hub]
    if trouble.status == 404:
        missing = f"repository {wanted.repository}" if wanted.file is None else wanted.title
        return UnknownNameError(
            f"{hub} has no {missing} at {wanted.revision}: {trouble.reason}",
            where=wanted.address,
            fix="check the names of the repository, the file and the revision",
        )
    if trouble.status == 401:
        return UnknownNameError(
            f"{hub} has no repository {wanted.repository}, or shows it to its members only",
            where=wanted.address,
            fix="check the repository's name; for a private one, or with an old token: hf auth login",
        )
    if trouble.status == 403:
        return ResourceError(
            f"{hub} does not give {wanted.title}: {trouble.reason}",
            where=wanted.address,
            fix=f"ask for access on the repository's page, then {_as_member(wanted)}",
        )
    return ResourceError(
        f"cannot fetch {wanted.title} from {hub}: {trouble.reason}",
        where=wanted.address,
        fix=f"{_elsewhere(wanted)}, or {_by_hand(wanted)}",
    )


def _as_member(wanted: Wanted) -> str:
    return "run: hf auth login" if wanted.hub == "huggingface" else _by_hand(wanted)


def _elsewhere(wanted: Wanted) -> str:
    if wanted.hub == "modelscope":
        return "use the Hugging Face hub or a mirror of it (HF_ENDPOINT)"
    return "set HF_ENDPOINT to a mirror, use ModelScope (use_modelscope=True, --modelscope true)"


def _by_hand(wanted: Wanted) -> str:
    if wanted.folder is not None:
        return f"put {wanted.file or 'the files'} into {wanted.folder} by hand"
    what = wanted.file or "the files"
    return f"put {what} by hand into a folder, and give that folder (download_root, --root)"
