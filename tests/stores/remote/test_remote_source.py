"""Sources behind URLs: which files they mean, and that they give what the same files give on a disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ResourceError, SourceError
from cnclip.stores.raw import SourceOptions, detect, read_source
from cnclip.stores.raw.remote import RemoteFile
from cnclip.stores.raw.stamps import stamps_of
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import build_store

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket(far: Any, raw: Any, tmp_path: Path) -> Iterator[Path]:
    """The same files at memory://bucket and in a folder, which is returned."""
    memory = fsspec.filesystem("memory")
    files = {
        "分片/00000.tar": far.packed(raw, range(3)),
        "分片/00001.tar": far.packed(raw, range(3, 6)),
        "分片/00002.tgz": far.packed(raw, range(6, 8), "w:gz"),
        "分片/00000.parquet": b"facts of img2dataset",
        "分片/.hidden/9.tar": b"",
    }
    for name, data in files.items():
        memory.pipe(f"/bucket/{name}", data)
        path = tmp_path / "bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    yield tmp_path / "bucket"
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize("name", ["分片", "分片/", "分片/{00000..00001}.tar", "分片/*.tar", "分片/00002.tgz"])
def test_a_url_gives_the_rows_of_the_same_files_on_the_disk(
    far: Any, bucket: Path, raw: Any, name: str
) -> None:
    url = f"memory://bucket/{name}"
    assert detect(url).kind == "webdataset"
    remote = read_source(url)
    assert far.plain(raw.read_all(remote)) == far.plain(raw.read_all(read_source(str(bucket / name))))
    assert remote.inputs == ()
    assert remote.facts == read_source(str(bucket / name)).facts


def test_a_store_built_from_a_url_equals_one_built_from_the_disk(bucket: Path, tmp_path: Path) -> None:
    prints = []
    for number, place in enumerate(("memory://bucket/分片", str(bucket / "分片"))):
        build_store(read_source(place), tmp_path / str(number))
        with StoreReader(tmp_path / str(number)) as reader:
            prints.append((reader.fingerprint, reader.image_count, reader.pair_count))
    assert prints[0] == prints[1]
    assert prints[0][1:] == (8, 8)


@pytest.mark.parametrize("name", ["p", "p/data/*.parquet", "p/data/{train,test}-00000-of-00001.parquet"])
def test_parquet_is_read_by_its_parts(far: Any, raw: Any, tmp_path: Path, name: str) -> None:
    memory = fsspec.filesystem("memory")
    for split, numbers in (("train", range(10)), ("test", range(10, 15))):
        file = f"p/data/{split}-00000-of-00001.parquet"
        memory.pipe(f"/{file}", far.table(raw, numbers))
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(far.table(raw, numbers))
    options = SourceOptions(split="test" if name == "p" else None)
    if name == "p":
        with pytest.raises(SourceError, match="several splits"):
            read_source(f"memory://{name}")
    assert detect(f"memory://{name}").kind == "parquet"
    found = far.plain(raw.read_all(read_source(f"memory://{name}", options=options)))
    assert found == far.plain(raw.read_all(read_source(str(tmp_path / name), options=options)))
    assert len(found[0]) == (5 if name == "p" else 15)
    memory.rm("/p", recursive=True)


def test_stamps_change_with_the_remote_file(far: Any, bucket: Path, raw: Any) -> None:
    source = read_source("memory://bucket/分片/*.tar")
    before = stamps_of(source)
    assert [stamp[:2] for stamp in before] == [["00000.tar", 10240], ["00001.tar", 10240]]
    assert stamps_of(source) == before
    fsspec.filesystem("memory").pipe("/bucket/分片/00001.tar", far.packed(raw, range(9, 12)))
    assert stamps_of(source) != before


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory://bucket/nothing", "no .tar"),
        ("memory://bucket/分片/{00000..00009}.tar", "(8 of 10 are missing)"),
        ("memory://bucket/captions.csv", "no .tar"),
        ("nowhere://bucket/x.tar", "unknown protocol"),
    ],
)
def test_a_url_without_files_is_an_error_that_names_it(bucket: Path, url: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        stamps_of(read_source(url))
    assert words in caught.value.what
    assert "fix" in str(caught.value)


def test_other_kinds_are_not_read_from_a_url(bucket: Path) -> None:
    with pytest.raises(SourceError, match="only tar shards and Parquet"):
        read_source("memory://bucket/x", "table")


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    for package, url in (("s3fs", "s3://bucket/x.tar"), ("aiohttp", "https://localhost/x.tar")):
        try:
            __import__(package)
        except ImportError:
            with pytest.raises(ResourceError) as caught:
                read_source(url)
            assert caught.value.fix == f"pip install {package}"


def test_a_url_that_became_a_path_is_told(tmp_path: Path) -> None:
    for look in (detect, read_source):
        with pytest.raises(SourceError, match="lost a slash"):
            look(Path("s3://bucket/x.tar"))


def test_messages_hold_no_password_and_no_query() -> None:
    file = RemoteFile("https://me:secret@host/a/x.tar?token=secret#y")
    assert str(file) == "https://host/a/x.tar"
    assert file.name == "x.tar"
    assert str(RemoteFile("abfs://box@account/x.tar")) == "abfs://box@account/x.tar"


def test_no_remote_package_is_imported_for_local_sources() -> None:
    import subprocess

    code = "import cnclip.stores.raw, sys; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
