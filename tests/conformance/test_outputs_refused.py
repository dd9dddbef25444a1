"""Disks that are full, read-only or forbidden: exit 5, the path, the system's words, nothing half-made."""

from __future__ import annotations

import base64
import ctypes
import io
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnclip.commands import main

CnClip = Callable[..., Path]
Forked = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]
IS_ROOT = os.geteuid() == 0
NOBODY = 65534
NEW_MOUNTS, PRIVATE, READ_ONLY, REMOUNT, BIND = 0x20000, 0x44000, 1, 32, 4096  # of unshare(2) and mount(2)
FORMATS = ("cn_clip", "lmdb", "folder", "webdataset", "parquet", "jsonl")
UNFINISHED = ".incomplete"  # the folder from which the next build goes on
OVER = ("--overwrite", "true")
VERBS: dict[str, Callable[[Path, Path], list[object]]] = {
    "build": lambda d, t: ["build", d / "源", t, "--workers", "1"],
    "merge": lambda d, t: ["merge", d / "store", d / "small", t, "--prefix", "true"],
    "subset": lambda d, t: ["subset", d / "store", t, "--query", "句"],
    "dedup": lambda d, t: ["dedup", d / "store", t, "--workers", "1"],
    "split": lambda d, t: ["split", d / "store", t, "--shares", "0.5,0.5", "--workers", "1"],
    "clean": lambda d, t: ["clean", d / "store", t, "--spaces", "true"],
    **{f"export {to}": (lambda d, t, to=to: ["export", d / "store", t, "--to", to]) for to in FORMATS},
}


# what these write is too small to meet a limit of size
SMALL: dict[str, Callable[[Path, Path], list[object]]] = {
    "index of two": lambda d, t: ["merge", d / "store", d / "other", t, "--index", "true"],
    "check": lambda d, t: ["check", d / "other", "--output", t, "--workers", "1"],
    "show": lambda d, t: ["show", d / "small", "0", "--by", "index", "--save", t],
}
ALL = {**VERBS, **SMALL}


def large(number: int) -> bytes:
    """A picture of half a megabyte."""
    levels = np.random.default_rng(number).integers(0, 256, (420, 420, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def words(verb: str, data: Path, target: Path, *more: str) -> list[str]:
    return [str(word) for word in ("data", *ALL[verb](data, target), *more)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, cn_clip: CnClip) -> Path:
    """A source and a store of two megabytes, and a store of one small row; everybody may read them."""
    folder = tmp_path_factory.mktemp("data")
    for place in (folder, *folder.parents[:2]):
        if place.owner() == Path.home().owner():
            place.chmod(0o755)
    images = [f"{number}\t".encode() + base64.b64encode(large(number)) for number in range(50, 54)]
    texts = [f'{{"text_id": {n}, "text": "大{n}句", "image_ids": [{n}]}}'.encode() for n in range(50, 54)]
    cn_clip(folder / "源", 1, images=images, texts=texts)
    cn_clip(folder / "小", 3)
    assert main(["data", "build", str(folder / "源"), str(folder / "store")]) == 0
    assert main(["data", "build", str(folder / "小"), str(folder / "small")]) == 0
    (folder / "图").mkdir()
    (folder / "图" / "猫.png").write_bytes(large(7))
    (folder / "图" / "猫.txt").write_text("一只猫", encoding="utf-8")
    assert main(["data", "build", str(folder / "图"), str(folder / "other")]) == 0
    for verb in ALL:  # whatever is imported late is imported now, before a child gives up its rights
        assert main(words(verb, folder, folder / "try")) in (0, 3)  # 3: what `check` says of so few rows
        for name in list(folder.glob("try*")):
            name.rename(folder / f"done-{verb}{name.name[3:]}")
    return folder


def told(ended: Any, system_words: str, target: Path) -> None:
    """Exit 5, the path, what the system said; LMDB says of every failed write only that it failed."""
    assert ended.code == 5, ended
    assert ended.is_told(), ended.err
    assert system_words in ended.err or ("mdb_txn_commit" in ended.err and "GB free" in ended.err), ended.err
    assert str(target.parent) in ended.place or target.name in ended.place, ended.err


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_size_limit_leaves_nothing_and_keeps_the_old(
    verb: str, data: Path, forked_cli: Forked, tree: Tree, tmp_path: Path
) -> None:
    target = tmp_path / "出" / "新"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    ended = forked_cli(*words(verb, data, target), before=limit)
    told(ended, "File too large", target)
    assert [name for name in tree(target.parent) if UNFINISHED not in name] == []
    assert main(words(verb, data, target)) == 0
    before = tree(tmp_path)
    made = {name.removeprefix("出/新"): found for name, found in before.items() if name.startswith("出/新")}
    done = {name: found for name, found in tree(data).items() if name.startswith(f"done-{verb}")}
    assert made == {name.removeprefix(f"done-{verb}"): found for name, found in done.items()}
    ended = forked_cli(*words(verb, data, target, *OVER), before=limit)
    told(ended, "File too large", target)
    assert {name: found for name, found in tree(tmp_path).items() if UNFINISHED not in name} == before


def mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    """mount(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")


def own_mounts() -> None:
    """What this process mounts from now on is seen by it alone, and gone with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", Path("/"), "", PRIVATE, "")


@pytest.fixture(scope="module")
def can_mount(forked: Forked) -> None:
    if forked(own_mounts).code != 0:
        pytest.skip("only root with the right to mount can make a small or a read-only file system")


@pytest.mark.usefixtures("can_mount")
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_leaves_nothing_and_keeps_the_old(
    verb: str, data: Path, forked: Forked, tree: Tree, tmp_path: Path
) -> None:
    disk = tmp_path / "盘"
    disk.mkdir()
    target = disk / "新"

    def fill() -> int:
        own_mounts()
        mount("none", disk, "tmpfs", 0, "size=1200k")
        (disk / "别的").write_bytes(bytes(10_000))
        before = tree(disk)
        code = main(words(verb, data, target))
        changed = {name for name, _ in set(tree(disk).items()) ^ set(before.items())}
        print(sorted(name for name in changed if UNFINISHED not in name))
        return code

    ended = forked(fill)
    told(ended, "No space left on device", target)
    assert ended.out.endswith("[]\n")


@pytest.mark.usefixtures("can_mount")
@pytest.mark.parametrize("verb", ALL)
def test_a_read_only_disk_is_named(verb: str, data: Path, forked: Forked, tmp_path: Path) -> None:
    disk = tmp_path / "盘"
    (disk / "旧").mkdir(parents=True)

    def protect() -> None:
        own_mounts()
        mount(str(disk), disk, "", BIND, "")
        mount("none", disk, "", BIND | REMOUNT | READ_ONLY, "")

    for target in (disk / "新", disk / "neu" / "新", *([] if verb == "show" else [disk / "旧"])):
        ended = forked(lambda target=target: main(words(verb, data, target)), before=protect)
        told(ended, "Read-only file system", target)


def as_nobody() -> None:
    """Root may do all; another user may not."""
    if IS_ROOT:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@pytest.mark.parametrize("verb", ALL)
def test_a_folder_without_permission_is_named(
    verb: str, data: Path, open_place: Path, forked_cli: Forked
) -> None:
    forbidden = open_place / "禁"
    forbidden.mkdir()
    forbidden.chmod(0o555)
    if forked_cli("data", "stats", data / "small", before=as_nobody).code != 0:
        pytest.skip("another user cannot read where the tests write")
    ended = forked_cli(*words(verb, data, forbidden / "新"), before=as_nobody)
    told(ended, "Permission denied", forbidden / "新")
    assert not list(forbidden.iterdir())


def behind_a_file(*rest: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / "文件").write_text("x")
        return place.joinpath("文件", *rest)

    return make


def behind_a_link(to: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / "链").symlink_to(to)
        return place / "链" / "新"

    return make


IMPOSSIBLE: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "a file for a folder": (behind_a_file("新"), ("Not a directory", "File exists")),
    "a file further up": (behind_a_file("a", "新"), ("Not a directory",)),
    "a link to nowhere": (behind_a_link("没有"), ("File exists", "No such file or directory")),
    "a link to itself": (behind_a_link("链"), ("Too many levels of symbolic links", "File exists")),
    "a name of 270 bytes": (lambda place: place / ("长" * 90), ("File name too long",)),
    "a path of 5000 bytes": (lambda place: place / "/".join(["d" * 200] * 25), ("File name too long",)),
}


@pytest.mark.parametrize("verb", ALL)
@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_an_impossible_target_is_named(
    kind: str, verb: str, data: Path, cli: Callable[..., Any], tree: Tree, tmp_path: Path
) -> None:
    make, system_words = IMPOSSIBLE[kind]
    place = tmp_path / "出"
    place.mkdir()
    target = make(place)
    before = tree(place)
    ended = cli(*words(verb, data, target))
    assert ended.code == 5, ended
    assert ended.is_told(), ended.err
    assert any(word in ended.err for word in system_words), ended.err
    assert tree(place) == before
