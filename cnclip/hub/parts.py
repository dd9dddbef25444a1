"""The `.part` file beside a target: where a download lies until it is whole, and how it takes its name."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnclip.artifacts import flush_to_disk
from cnclip.errors import ResourceError


def part_file(target: Path, version: str) -> Path:
    """The part of one version of the target, so that no half of one is continued with another."""
    word = re.sub(r"[^0-9A-Za-z]", "", version)[:12]
    return target.with_name(f"{target.name}.{word}.part")


def part_size(part: Path) -> int:
    """Bytes that have come so far."""
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def commit(part: Path, target: Path) -> None:
    """Flush a complete part to the disk and give it its name; parts of other versions go."""
    flush_to_disk(part)
    os.replace(part, target)
    for rest in target.parent.glob(f"{glob.escape(target.name)}.*.part*"):
        rest.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        flush_to_disk(target.parent)


def check_space(place: Path, needed_bytes: int) -> None:
    """Raise ResourceError where the disk has not the room for so many bytes more."""
    free = shutil.disk_usage(place.parent).free
    if free < needed_bytes:
        raise ResourceError(
            f"the disk is too full: {needed_bytes / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free",
            where=str(place),
            fix="free some space, or choose another folder (download_root, HF_HOME)",
        )


@contextmanager
def disk(place: Path) -> Iterator[None]:
    """Turn the operating system's refusals at `place` into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot write: {error.strerror or error}{_free(place)}",
            where=str(place),
            fix="free some space, or choose another folder (download_root, HF_HOME)",
        ) from error


def _free(place: Path) -> str:
    for folder in place.parents:
        if folder.is_dir():
            return f" ({shutil.disk_usage(folder).free / 1e6:.1f} MB free)"
    return ""
