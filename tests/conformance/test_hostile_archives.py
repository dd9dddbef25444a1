"""Tars and zips that want out of their folder: nothing outside changes, and safe members are read."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip.stores.reader import StoreReader

Draw = Callable[..., bytes]
Cli = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]
Member = tuple[str, bytes, str]  # name, type, where a link leads; "" and a regular type: a picture

FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
DEEP = "/".join(["d" * 247] * 16)  # as long as a path may be: resolving it stops half-way (CVE-2025-4517)


def chain() -> list[Member]:
    """Short links through folders with long names, until the resolved path is too long to be checked."""
    members: list[Member] = []
    path = ""
    for letter in "abcdefghijklmnop":
        members.append((f"{path}{'d' * 247}", FOLDER, ""))
        members.append((f"{path}{letter}", LINK, "d" * 247))
        path += f"{letter}/"
    members += [(f"{path}{'l' * 254}", LINK, "../" * 16), ("escape", LINK, f"{path}{'l' * 254}/../../外")]
    return [*members, ("escape/out.png", FILE, ""), ("hard", HARD, "escape/canary.txt"), ("hard", FILE, "")]


HOSTILE: dict[str, list[Member]] = {
    "parent": [("../out.png", FILE, "")],
    "parents": [("../../../../外/out.png", FILE, "")],
    "parent in the middle": [("a/../../外/canary.txt", FILE, "")],
    "parent behind a dot": [("./../外/canary.txt", FILE, "")],
    "absolute": [("{outside}/out.png", FILE, "")],
    "absolute with two slashes": [("/{outside}/out.png", FILE, "")],
    "backslashes": [("..\\..\\外\\out.png", FILE, "")],
    "drive letter": [("C:\\外\\out.png", FILE, ""), ("C:/外/out.png", FILE, "")],
    "NUL in the name": [("a\x00/../../外/out.png", FILE, "")],
    "link to a file": [("a.png", LINK, "{outside}/canary.txt"), ("a.png", FILE, "")],
    "link to a folder": [("a", LINK, "{outside}"), ("a/canary.txt", FILE, ""), ("a/out.png", FILE, "")],
    "relative link": [("a", LINK, "../外"), ("a/canary.txt", FILE, "")],
    "chain of links": [
        ("a", LINK, "b"), ("b", LINK, "c"), ("c", LINK, ".."), ("a/外/canary.txt", FILE, "")],
    "link to itself": [("a", LINK, "a"), ("a/b.png", FILE, "")],
    "hard link": [("a.png", HARD, "{outside}/canary.txt"), ("a.png", FILE, "")],
    "hard link to a link": [("a", LINK, "{outside}/canary.txt"), ("b", HARD, "a"), ("b", FILE, "")],
    "hard link through a folder": [("a", LINK, ".."), ("b", HARD, "a/外/canary.txt"), ("b", FILE, "")],
    "folder replaced by a link": [("a", FOLDER, ""), ("a", LINK, "{outside}"), ("a/out.png", FILE, "")],
    "folder of the outside": [("../外/neu", FOLDER, ""), ("{outside}/neu", FOLDER, "")],
    "long path that is not resolved": chain(),
    "long name": [(f"{DEEP}/../{'../' * 20}外/out.png", FILE, "")],
    "link without a name": [("", LINK, "{outside}"), ("out.png", FILE, ""), ("canary.txt", FILE, "")],
    "link named as a folder": [("./", LINK, "../外"), ("a/", LINK, "../外"), ("a/canary.txt", FILE, "")],
    "link with a folder's ending": [
        ("a/b/..", LINK, "{outside}"), ("a/.", LINK, "{outside}/"), ("a/canary.txt", FILE, "")],
    "link leads into its own past": [
        ("a/b", LINK, ".."), ("a/b/b", LINK, "b/.."), ("a/b/b/外/canary.txt", FILE, "")],
    "pipe, devices and a socket": [
        ("a.png", tarfile.FIFOTYPE, ""), ("b.png", tarfile.CHRTYPE, ""), ("c.png", tarfile.BLKTYPE, ""),
        ("d.png", b"s", "")],
    "sparse": [("s.png", tarfile.GNUTYPE_SPARSE, "")],
    "modes and owners of the outside": [("..", FOLDER, ""), ("../外", FOLDER, ""), ("../外/", FILE, "")],
}  # fmt: skip


def write_tar(path: Path, members: list[Member], outside: Path, picture: bytes) -> None:
    """The members between two good samples."""
    good = ["good.png", "good.txt"], ["later.png", "later.txt"]
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, kind: bytes, link: str, data: bytes) -> None:
            info = tarfile.TarInfo(name.format(outside=outside))
            info.type, info.linkname, info.mode = kind, link.format(outside=outside), 0o777
            regular = kind == FILE
            info.size = len(data) if regular else 0
            archive.addfile(info, io.BytesIO(data) if regular else None)

        for names, extra in zip(good, (members, []), strict=True):
            for name in names:
                add(name, FILE, "", picture if name.endswith("png") else "好".encode())
            for name, kind, link in extra:
                add(name, kind, link, picture if name.endswith("png") else b"changed")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with something to lose, beside the source and the target."""
    folder = tmp_path / "外"
    folder.mkdir()
    (folder / "canary.txt").write_text("活着", encoding="utf-8")
    (folder / "link").symlink_to("canary.txt")
    return folder


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_tar_changes_nothing_outside_of_the_target(
    kind: str, ending: str, outside: Path, draw: Draw, cli: Cli, tree: Tree, tmp_path: Path
) -> None:
    source, target = tmp_path / "in" / f"0{ending}", tmp_path / "out" / "s"
    source.parent.mkdir()
    write_tar(source, HOSTILE[kind], outside, draw(1))
    before = tree(tmp_path)
    modes = {path: path.lstat().st_mode for path in (outside, *outside.iterdir())}
    skip = ("--on-bad", "skip", "--max-bad-share", "1")
    for words in ((), (*skip, "--overwrite", "true")):
        ended = cli("data", "build", source, target, *words)
        assert ended.code in ((0,) if words else (0, 3)), ended
        after = {name: content for name, content in tree(tmp_path).items() if not name.startswith("out")}
        assert after == before
        assert {path: path.lstat().st_mode for path in modes} == modes
        assert {path.name for path in target.parent.iterdir()} <= {"s", "s.rejects.jsonl"}
        assert ended.code == 0 or ended.is_told()
    with StoreReader(target) as reader:
        ids = list(reader.image_ids())
    assert ids[0] == "good" and ids[-1] == "later"
    assert not any(".." in name or name.startswith("/") or ":" in name for name in ids)
    for name in ("/", "/外", "..", "\\"):
        assert all(not image_id.startswith(name) for image_id in ids)


def test_names_in_a_zip_are_labels_only(
    outside: Path, cli: Cli, tree: Tree, cn_clip: Any, tmp_path: Path
) -> None:
    plain = cn_clip(tmp_path / "plain", 3)
    before = tree(tmp_path)
    for number, folder in enumerate(("../外/", f"{outside}/", "a/../../外/", "C:\\外\\")):
        path = tmp_path / "MUGE.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in plain.iterdir():
                archive.writestr(f"{folder}{file.name}", file.read_bytes())
            archive.writestr(f"{folder}canary.txt", "changed")
            link = zipfile.ZipInfo("link")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, str(outside))
        assert cli("data", "build", path, tmp_path / "out" / str(number)).code in (0, 3)
        path.unlink()
        assert {name: x for name, x in tree(tmp_path).items() if not name.startswith("out")} == before


@pytest.mark.parametrize(
    "name", ["../外/canary.txt", "{outside}/canary.txt", "a/../../外/canary.txt", "l/canary.txt"]
)
def test_paths_in_tables_do_not_leave_the_folder(name: str, outside: Path, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    (folder / "l").symlink_to(outside)
    row = {"image": name.format(outside=outside), "caption": "x"}
    (folder / "t.jsonl").write_text(json.dumps(row))
    ended = cli("data", "build", folder / "t.jsonl", tmp_path / "out" / "s")
    assert ended.code == 3 and "outside of the image root" in ended.err
