"""One source, one store: whatever the workers, the hash seed, the order on the disk, the language."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Draw = Callable[..., bytes]
Tree = Callable[[Path], dict[str, str]]
COUNT = 24

_BUILD = """
import sys
from cnclip.commands import main
source, target, workers = sys.argv[1:]
words = ["--workers", workers, "--shard-size", "7images", "--on-bad", "skip", "--max-bad-share", "1"]
sys.exit(main(["data", "build", source, target, *words]))
"""
# (workers, PYTHONHASHSEED, LC_ALL, seed of the order in which files are made)
WAYS = [
    (1, "0", "C", 0),
    (2, "1", "C.UTF-8", 1),
    (2, "2", "zh_CN.UTF-8", 2),
    (5, "random", "POSIX", 3),
]


def folder_of_pictures(folder: Path, order: random.Random, draw: Draw) -> Path:
    """Pictures with captions in subfolders, some of them repeated or broken; made in any order."""
    files = {}
    for number in range(COUNT):
        stem = f"{'甲乙丙'[number % 3]}/图{number * 7 % COUNT:02d}"
        files[f"{stem}.png"] = draw(number % 20) if number % 11 else b"<html>"
        files[f"{stem}.txt"] = f"第{number}句，“猫”\n一只猫\n".encode() if number % 7 else b"\n"
    names = list(files)
    order.shuffle(names)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    return folder


def cn_clip_files(folder: Path, order: random.Random, draw: Draw) -> Path:
    """The two files of a split; the second one is made first or last."""
    import base64

    folder.mkdir(parents=True)
    images = "".join(f"{n}\t{base64.b64encode(draw(n % 20)).decode()}\n" for n in range(COUNT))
    rows = [{"text_id": n, "text": f"第{n}句𠮷", "image_ids": [n, n * 5 % COUNT]} for n in range(COUNT)]
    texts = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*rows, *rows[:3], {"text": 1}])
    files = [("train_imgs.tsv", images), ("train_texts.jsonl", texts)]
    order.shuffle(files)
    for name, content in files:
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize("make", [folder_of_pictures, cn_clip_files])
def test_the_bytes_of_a_store_are_a_function_of_its_source(
    make: Callable[..., Path], draw: Draw, tree: Tree, tmp_path: Path
) -> None:
    started = []
    for number, (workers, seed, language, order) in enumerate(WAYS):
        source = make(tmp_path / str(number) / "源", random.Random(order), draw)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": language}
        words = [source, tmp_path / str(number) / "s", str(workers)]
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", _BUILD, *words],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
    for process in started:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode(errors="replace")
    trees = [tree(tmp_path / str(number) / "s") for number in range(len(WAYS))]
    assert len(trees[0]) > 8
    for other in trees[1:]:
        assert other == trees[0]


def test_copies_derive_to_the_same_bytes(
    draw: Draw, tree: Tree, cli: Callable[..., object], tmp_path: Path
) -> None:
    """Stores made of copies of a store, elsewhere on the disk, with any number of threads."""
    source = folder_of_pictures(tmp_path / "源", random.Random(0), draw)
    words = ("--on-bad", "skip", "--max-bad-share", "1")
    cli("data", "build", source, tmp_path / "甲" / "s", *words)
    shutil.copytree(tmp_path / "甲" / "s", tmp_path / "乙" / "s")
    for place, workers in (("甲", "1"), ("乙", "3")):
        folder = tmp_path / place
        for verb, *more in (
            ("split", folder / "p", "--shares", "0.5,0.5", "--workers", workers),
            ("dedup", folder / "d", "--near", "3", "--workers", workers),
            ("subset", folder / "q", "--query", "猫"),
        ):
            assert cli("data", verb, folder / "s", *more).code == 0  # type: ignore[attr-defined]
        for to in ("cn_clip", "folder", "webdataset", "jsonl", "lmdb"):
            assert cli("data", "export", folder / "s", folder / to, "--to", to).code == 0  # type: ignore[attr-defined]
    one, other = tree(tmp_path / "甲"), tree(tmp_path / "乙")
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
