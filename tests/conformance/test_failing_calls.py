"""The first, second, third … system call fails: the old is whole, the new absent, the next run equal."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from cnclip.artifacts import verify_dir
from cnclip.commands import main
from cnclip.errors import CnclipError
from cnclip.stores.raw import read_source
from cnclip.stores.reader import StoreReader
from cnclip.stores.writer import BuildOptions, build_store

CnClip = Callable[..., Path]
Forked = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]
MOST_CALLS = 400
ROWS = 4
OFTEN = (
    "build",
    "export cn_clip",
    "export lmdb",
)  # the others, and most faults over old ones, are for the night


class Fault:
    """Makes call number `at` of some functions fail, counted over all of them, for paths below `below`."""

    def __init__(self, at: int, number: int, below: Path) -> None:
        self.calls, self.fired = 0, False
        self._at, self._number, self._below = at, number, str(below)

    def check(self, *names: object) -> None:
        """Count a call; raise where its turn has come."""
        told = [os.fsdecode(name) for name in names if isinstance(name, str | bytes | os.PathLike)]
        if told and not any(name.startswith(self._below) for name in told):
            return
        self.calls += 1
        if self.calls == self._at:
            self.fired = True
            raise OSError(self._number, os.strerror(self._number), *told[:1])


def wrapped(fault: Fault, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        fault.check(*args[:2])
        return function(*args, **kwargs)

    return call


def fail_functions(*names: str) -> Callable[[pytest.MonkeyPatch, Fault], None]:
    """Functions of `os`."""

    def patch(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
        for name in names:
            monkeypatch.setattr(os, name, wrapped(fault, getattr(os, name)))

    return patch


def fail_open_for_writing(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """`open` with a mode that writes, by both of its names."""
    real = io.open

    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax+"):
            fault.check(file)
        return real(file, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", opened)
    monkeypatch.setattr(io, "open", opened)


def fail_commits(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """LMDB's write transactions, which hide every failed write behind this one error."""

    class Stand:
        """What stands for an object of lmdb, one method of which may fail."""

        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def __enter__(self) -> Any:
            self.real.__enter__()
            return self

        def __exit__(self, *error: Any) -> Any:
            return self.real.__exit__(*error)

    class Transaction(Stand):
        def commit(self) -> None:
            try:
                fault.check()
            except OSError:
                self.real.abort()
                raise lmdb.Error("mdb_txn_commit: Input/output error") from None
            self.real.commit()

    class Environment(Stand):
        def begin(self, *args: Any, write: bool = False, **kwargs: Any) -> Any:
            begun = self.real.begin(*args, write=write, **kwargs)
            return Transaction(begun) if write else begun

    def opened(*args: Any, **kwargs: Any) -> Any:
        environment = real(*args, **kwargs)
        return environment if kwargs.get("readonly") else Environment(environment)

    real = lmdb.open
    monkeypatch.setattr(lmdb, "open", opened)


FAULTS: dict[str, tuple[Callable[[pytest.MonkeyPatch, Fault], None], int]] = {
    "fsync": (fail_functions("fsync"), errno.EIO),
    "rename and replace": (fail_functions("rename", "replace"), errno.EIO),
    "mkdir": (fail_functions("mkdir"), errno.ENOSPC),
    "os.open and os.write": (fail_functions("open", "write"), errno.EACCES),
    "open for writing": (fail_open_for_writing, errno.ENOSPC),
    "commit": (fail_commits, errno.EIO),
}
EXPORTS = ("lmdb", "cn_clip", "folder", "webdataset")
VERBS = ("build", "subset", "dedup", "clean", *(f"export {to}" for to in EXPORTS))


def run(verb: str, data: Path, target: Path, over: bool = False) -> int:
    """The exit code of making a target; a build is called without the processes that decode for it."""
    if verb == "build":
        options = BuildOptions(on_bad="skip", max_bad_share=1.0, shard_images=2, overwrite=over)
        try:
            build_store(read_source(data / "源"), target, options=options)
        except CnclipError as error:
            print(f"error[{error.code}]: {error}", file=sys.stderr)
            return error.exit_code
        return 0
    more = {"subset": ["--query", "句"], "dedup": ["--workers", "1"], "clean": ["--spaces", "true"]}
    name, _, form = verb.partition(" ")
    words = ["data", name, str(data / "store"), str(target), *more.get(name, ["--to", form])]
    return main([*words, "--overwrite", "true"] if over else words)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, cn_clip: CnClip) -> Path:
    """A source with two bad rows, and a store of what is good in it."""
    folder = tmp_path_factory.mktemp("data")
    cn_clip(folder / "源", ROWS, images=[b"9\tno base64"], texts=[b"{}"])
    assert run("build", folder, folder / "store") == 0
    return folder


def is_whole(target: Path, verb: str) -> bool:
    """Whether a target is there; one that is there must be whole."""
    if not target.exists():
        return False
    verify_dir(target)
    if "export" not in verb:
        with StoreReader(target) as reader:
            reader.verify()
            assert reader.image_count == ROWS
    return True


def cases() -> Iterator[Any]:
    """Every verb with every fault, for a new target and for one that is there."""
    for verb in VERBS:
        for kind in FAULTS:
            for old in (False, True):
                often = verb in OFTEN and (not old or kind in ("commit", "rename and replace"))
                marks = [] if often else [pytest.mark.nightly]
                yield pytest.param(
                    verb, kind, old, marks=marks, id=f"{verb}-{kind}-{'old' if old else 'new'}"
                )


@pytest.mark.parametrize(("verb", "kind", "old"), cases())
def test_the_failure_of_every_single_call_is_survived(
    verb: str, kind: str, old: bool, data: Path, forked: Forked, tree: Tree, tmp_path: Path
) -> None:
    patch, number = FAULTS[kind]
    place = tmp_path / "出"
    target = place / "新"
    assert run(verb, data, target) == 0
    whole = tree(place)
    for at in range(1, MOST_CALLS):
        if not old:
            shutil.rmtree(place)

        def wounded(at: int = at) -> int:
            fault = Fault(at, number, place)
            with pytest.MonkeyPatch.context() as monkeypatch:
                patch(monkeypatch, fault)
                code = run(verb, data, target, over=old)
            print("fired" if fault.fired else "clean")
            return code

        ended = forked(wounded)  # a process of its own: what it leaves is swept by the next one
        there = is_whole(target, verb)
        if ended.out.endswith("clean\n"):
            assert ended.code == 0, ended
            assert tree(place) == whole
            assert at > 1 or kind in ("commit", "os.open and os.write"), "no call was made at all"
            return
        assert ended.code in (0, 5), (at, ended)
        assert ended.code == 0 or ended.is_told(), (at, ended.err)
        assert not old or there, f"call {at}: the old one is lost"
        assert there or ended.code != 0, f"call {at}: success without a target"
        if there:
            assert tree(target) == {
                name[2:]: content for name, content in whole.items() if name.startswith("新/")
            }
        again = forked(lambda: run(verb, data, target, over=old or there))  # noqa: B023
        assert again.code == 0, (at, again)
        assert tree(place) == whole, f"call {at}: the next run is another"
    raise AssertionError(f"over {MOST_CALLS} calls")
