"""Whether a file is whole: its known digest, else what the file says about itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from cnclip.errors import ArtifactError, ResourceError
from cnclip.hub.archives import check_archive, is_archive
from cnclip.stamps import is_stamped, stamp

_WEIGHT_SUFFIXES = frozenset({".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".onnx"})
_SELF_CHECKED = "whole by its own account"  # the stamp of a file without a known digest
_AGAIN = "copy or download it again"
_PIECE_BYTES = 1 << 20
_LONGEST_HEADER_BYTES = 100_000_000  # the limit of the safetensors library
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<\?xml|<head)", re.IGNORECASE)
_POINTER = b"version https://git-lfs"


def check_whole(path: Path, *, sha256: str | None = None, size: int | None = None) -> None:
    """Find out whether a file is cut, flipped or no weight file at all; the verdict is remembered by a stamp.

    With a known digest the bytes are compared with it. Without one, the members of a `.pt` archive are
    compared with their CRC32, and the length of a `.safetensors` file with its header. A `.pt` file of the
    time before archives has nothing to compare, and is accepted.

    Args:
        path: the file.
        sha256: what its bytes must give: 64 hexadecimal digits, or the 40 of a git blob.
        size: bytes that it must have.

    Raises:
        ArtifactError: another size, another digest, a damaged member, a web page or an LFS pointer.
        RefusedError: an archive that expands beyond all measure.
        ResourceError: the file cannot be read.
    """
    verdict = sha256 or _SELF_CHECKED
    try:
        seen = path.stat()
        if size is not None and seen.st_size != size:
            raise _damaged(path, f"has {seen.st_size} bytes in place of {size}")
        if is_stamped(path, verdict):
            return
        if sha256 is None:
            check_itself(path, name=path.name)
        elif (found := digest_of(path, like=sha256)) != sha256.lower():
            raise _damaged(path, f"has {digest_kind(sha256)} {found} in place of {sha256}")
    except OSError as error:
        raise ResourceError(
            f"cannot read: {error.strerror or error}",
            where=str(path),
            fix="check its permissions and the disk",
        ) from error
    stamp(path, verdict, seen=seen)


def digest_kind(digest: str) -> str:
    """Name of the digest with as many digits: a hub's etags are sha256 (64) or git's sha1 of a blob (40)."""
    return "sha256" if len(digest) == 64 else "git blob sha1"


def digest_of(path: Path, *, like: str) -> str:
    """Hexadecimal digest of a file, of the same kind as `like`.

    Etags of 40 digits are git's sha1 of a blob on the hub, and the plain sha1 behind some companies' proxies.
    """
    with open(path, "rb") as file:
        if digest_kind(like) == "sha256":
            return hashlib.file_digest(file, "sha256").hexdigest()
        plain = hashlib.sha1(usedforsecurity=False)
        blob = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
        while piece := file.read(_PIECE_BYTES):
            plain.update(piece)
            blob.update(piece)
        return plain.hexdigest() if plain.hexdigest() == like.lower() else blob.hexdigest()


def check_itself(path: Path, *, name: str) -> None:
    """Compare a weight file with what it says about itself; other files have nothing to say.

    Args:
        path: where the bytes are.
        name: the file's real name, whose ending tells its kind.

    Raises:
        ArtifactError, RefusedError: as `check_whole`.
    """
    kind = Path(name).suffix.lower()
    if kind not in _WEIGHT_SUFFIXES:
        return
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(512)
    if not start:
        raise _damaged(path, "is empty")
    if _PAGE.match(start):
        raise _damaged(path, "is a web page, not weights")
    if start.startswith(_POINTER):
        raise ArtifactError(
            f"{path.name} is a Git LFS pointer, not the weights", where=str(path), fix="run: git lfs pull"
        )
    if kind == ".safetensors":
        _check_safetensors(path, size)
    elif is_archive(path):
        check_archive(path)


def _check_safetensors(path: Path, size: int) -> None:
    """The tensors named in the header must end where the file ends."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER_BYTES):
            raise _damaged(path, "is cut in its header, or is no safetensors file")
        header = file.read(length)
    try:
        entries = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        end = max((int(entry["data_offsets"][1]) for entry in entries), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise _damaged(path, "has an unreadable header") from None
    if 8 + length + end != size:
        raise _damaged(path, f"has {size} bytes, its header says {8 + length + end}")


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path.name} {what}", where=str(path), fix=_AGAIN)
