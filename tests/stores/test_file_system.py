"""Which file systems are told to be a network's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnclip.stores.file_system import network_file_system

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:26 / {root}/home rw,relatime - nfs4 server:/home rw,vers=4.2
32 31 8:1 / {root}/home/local\\040disk rw - xfs /dev/sda1 rw
33 22 0:40 / {root}/mnt/桶 rw - fuse.s3fs s3fs rw
34 22 0:41 / {root}/mnt rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("home/stores/new", "nfs4"),
        ("home/local disk/stores", None),
        ("homes", None),
        ("mnt/桶/仓", "fuse.s3fs"),
        ("mnt/other", None),
    ],
)
def test_the_innermost_mount_decides(tmp_path: Path, place: str, kind: str | None) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(root=tmp_path.resolve()), encoding="utf-8")
    assert network_file_system(tmp_path / place, table) == kind


def test_without_the_table_nothing_is_said(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "missing") is None
