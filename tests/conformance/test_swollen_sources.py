"""Archives, tables and Parquet files of a few kilobytes that would become gigabytes: refused before."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnclip.commands import main

Forked = Callable[..., Any]
Draw = Callable[..., bytes]
MOST_GROWTH = 200 << 20  # bytes
MEGABYTES = 200  # that a source swells to


def tar_gz(folder: Path, picture: bytes) -> Path:
    """A tar of 1000 to 1: a member of 200 MB of zeros."""
    path = folder / "0.tar.gz"
    with gzip.open(path, "wb", 9) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for name, size in (("a.png", len(picture)), ("a.txt", 3), ("b.jpg", MEGABYTES << 20)):
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, _Zeros(picture if name == "a.png" else b"\xe5\xa5\xbd"))  # type: ignore[arg-type]
    return path


class _Zeros:
    """Some bytes, then zeros for ever."""

    def __init__(self, start: bytes) -> None:
        self._start = start

    def read(self, count: int) -> bytes:
        piece, self._start = self._start[:count], self._start[count:]
        return piece + bytes(count - len(piece))


def zipped(folder: Path, picture: bytes) -> Path:
    """MUGE's zip whose captions are one line of 200 MB."""
    path = folder / "MUGE.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("train_imgs.tsv", b"")
        with archive.open("train_texts.jsonl", "w") as file:
            for _ in range(MEGABYTES):
                file.write(b" x" * (1 << 19))
    return path


def gz_lines(folder: Path, picture: bytes) -> Path:
    """A table of one line of 200 MB."""
    (folder / "猫.png").write_bytes(picture)
    with gzip.open(folder / "t.jsonl.gz", "wb", 9) as file:
        file.write('{"image": "猫.png", "caption": "'.encode())
        for _ in range(MEGABYTES):
            file.write(b"x" * (1 << 20))
    return folder / "t.jsonl.gz"


def gz_json(folder: Path, picture: bytes) -> Path:
    """A JSON list with one value of 200 MB."""
    with gzip.open(folder / "captions.json.gz", "wb", 9) as file:
        file.write(b'{"images": [{"id": "')
        for _ in range(MEGABYTES):
            file.write(b"x" * (1 << 20))
    return folder / "captions.json.gz"


def parquet_of(size: int) -> Callable[[Path, bytes], Path]:
    def write(folder: Path, picture: bytes) -> Path:
        import pyarrow
        from pyarrow import parquet

        path = folder / "train.parquet"
        cells = pyarrow.table({"image": [bytes(size)], "caption": ["好"]})
        parquet.write_table(cells, path, compression="zstd", use_dictionary=False, write_statistics=False)
        return path

    return write


def sidecar(folder: Path, picture: bytes) -> Path:
    """A caption file of 200 MB in one line, most of it a hole on the disk."""
    (folder / "a.png").write_bytes(picture)
    with open(folder / "a.txt", "wb") as file:
        file.truncate(MEGABYTES << 20)
    return folder


SOURCES: dict[str, Callable[[Path, bytes], Path]] = {
    "tar.gz": tar_gz,
    "zip": zipped,
    "jsonl.gz": gz_lines,
    "json.gz": gz_json,
    "parquet of 400 MB": parquet_of(400 << 20),
    "parquet of 240 MB": parquet_of(240 << 20),
    "caption file": sidecar,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_that_swells_is_refused(
    kind: str, draw: Draw, forked: Forked, growth_of: Callable[..., int], tmp_path: Path
) -> None:
    folder = tmp_path / "源"
    folder.mkdir()
    made = forked(lambda: SOURCES[kind](folder, draw(1)) and 0)
    assert made.code == 0, made.err
    source = (
        folder if kind == "caption file" else next(file for file in folder.iterdir() if file.suffix != ".png")
    )

    def build() -> None:
        assert main(["data", "build", str(source), str(tmp_path / "s"), "--workers", "1"]) == 3

    assert growth_of(build) < MOST_GROWTH
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", ["zip", "jsonl.gz"])
def test_a_line_over_the_limit_is_one_row(
    kind: str, draw: Draw, cli: Callable[..., Any], tmp_path: Path
) -> None:
    source = SOURCES[kind](tmp_path, draw(1))
    ended = cli("data", "build", source, tmp_path / "s")
    assert ended.code == 3 and ended.err.count("line too long: over") == 1 and "not JSON" not in ended.err
