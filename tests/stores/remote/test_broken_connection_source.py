"""Networks that fail while a source is read: taken up again, or told without calling rows bad."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cnclip.errors import ResourceError
from cnclip.stores.raw import read_source
from cnclip.stores.raw.remote import LostSource
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402


class FlakySystem(MemoryFileSystem):  # type: ignore[misc]
    """Files in memory behind a connection that breaks."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failures: ClassVar[list[Exception]] = []
    opened: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("flaky://").strip("/")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **options)
        self.opened.append(path)
        return FlakyFile(bytes(self.store[path].getbuffer()))


class FlakyFile(io.BytesIO):
    """Reads that fail as long as there are failures."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)

    def read(self, count: int | None = -1) -> bytes:
        if self.tell() > 4000 and FlakySystem.failures:
            raise FlakySystem.failures.pop()
        return super().read(min(count or 0, 1000) if count and count > 0 else count)


@pytest.fixture
def flaky(far: Any, raw: Any, no_pauses: None) -> Iterator[type[FlakySystem]]:
    fsspec.register_implementation("flaky", FlakySystem, clobber=True)
    system = fsspec.filesystem("flaky")
    system.pipe("/b/00000.tar", far.packed(raw, range(8)))
    system.pipe("/b/x.parquet", far.table(raw, range(200)))
    FlakySystem.failures.clear()
    FlakySystem.opened.clear()
    yield FlakySystem
    FlakySystem.store.clear()


@pytest.mark.parametrize("name", ["00000.tar", "x.parquet"])
def test_a_connection_that_breaks_is_taken_up_again_at_the_same_byte(
    far: Any, flaky: type[FlakySystem], raw: Any, name: str
) -> None:
    whole = far.plain(raw.read_all(read_source(f"flaky://b/{name}")))
    assert whole[2] == []
    before = len(flaky.opened)
    flaky.failures += [OSError("reset"), TimeoutError("slow"), ConnectionError("gone")]
    assert far.plain(raw.read_all(read_source(f"flaky://b/{name}"))) == whole
    assert len(flaky.opened) == before + before + 3
    assert flaky.failures == []


@pytest.mark.parametrize("name", ["00000.tar", "x.parquet"])
def test_a_connection_that_stays_broken_is_an_error_and_no_bad_row(
    flaky: type[FlakySystem], raw: Any, name: str
) -> None:
    source = read_source(f"flaky://b/{name}")
    flaky.failures += [OSError("reset by peer")] * 100
    reported: list[Any] = []
    with pytest.raises(LostSource) as caught:
        list(source.images(reported.append))
    assert reported == []
    place, _, offset = str(caught.value.where).rpartition("@")
    assert place == f"flaky:///b/{name}"
    assert int(offset) > 4000
    assert "after 4 attempts: OSError: reset by peer" in caught.value.what


def test_a_remote_shard_is_fetched_once(far: Any, flaky: type[FlakySystem], raw: Any, tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(far.packed(raw, range(8)))
    expected = far.plain(raw.read_all(read_source(tmp_path / "00000.tar")))[1]
    flaky.opened.clear()
    source = read_source("flaky://b/00000.tar")
    assert list(source.texts(print)) == expected  # the captions alone, without the pictures
    assert list(source.images(print))
    assert list(source.texts(print)) == expected
    assert flaky.opened == ["/b/00000.tar"] * 2


def test_a_remote_shard_that_is_damaged_or_left_half_way_is_fetched_again(
    far: Any, flaky: type[FlakySystem], raw: Any, tmp_path: Path
) -> None:
    data = far.packed(raw, range(8))
    flaky.store.clear()
    fsspec.filesystem("flaky").pipe("/b/00000.tar", data[: len(data) - 6000])
    (tmp_path / "00000.tar").write_bytes(data[: len(data) - 6000])
    fsspec.filesystem("flaky").pipe("/b/00001.tar", data)
    expected = far.plain(raw.read_all(read_source(tmp_path / "00000.tar")))
    assert expected[2]
    flaky.opened.clear()
    assert far.plain(raw.read_all(read_source("flaky://b/00000.tar"))) == expected
    assert flaky.opened == ["/b/00000.tar"] * 2
    flaky.opened.clear()
    source = read_source("flaky://b/00001.tar")
    next(source.images(print))
    assert len(list(source.texts(print))) == 8
    assert flaky.opened == ["/b/00001.tar"] * 2


def test_a_refused_permission_is_not_tried_again(flaky: type[FlakySystem]) -> None:
    flaky.failures += [PermissionError("403")]
    with pytest.raises(ResourceError, match="no permission"):
        list(read_source("flaky://b/00000.tar").images(print))
    assert flaky.opened == ["/b/00000.tar"]


def test_a_build_that_lost_its_source_goes_on_where_it_was(
    flaky: type[FlakySystem], tmp_path: Path, raw: Any
) -> None:
    options = BuildOptions(note_events=1, note_bytes=1)
    build_store(read_source("flaky://b/00000.tar"), tmp_path / "whole", options=options)
    flaky.failures += [OSError("reset")] * 100
    with pytest.raises(LostSource):
        build_store(read_source("flaky://b/00000.tar"), tmp_path / "store", options=options)
    flaky.failures.clear()
    again = replace(options, resume="must")
    build_store(read_source("flaky://b/00000.tar"), tmp_path / "store", options=again)
    with StoreReader(tmp_path / "store") as reader, StoreReader(tmp_path / "whole") as whole:
        assert reader.fingerprint == whole.fingerprint
