"""Which file system a path lies on: LMDB wants one whose mapped files are those on the disk."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "beegfs",
    "lustre",
    "gpfs",
}
_ESCAPE = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Its name where `path` lies on a network file system or on FUSE, None where not or nobody knows.

    Args:
        path: need not exist.
        mounts: the table of what is mounted where, in the form of Linux's mountinfo.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place, best, kind = Path(os.path.realpath(path)), -1, ""
    for line in lines:
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        mounted = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        depth = len(mounted.parts)
        if depth >= best and place.is_relative_to(mounted):
            best, kind = depth, after.split(" ")[0]
    return kind if kind in _NETWORK or kind.startswith("fuse") else None
