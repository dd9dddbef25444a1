"""What the conformance tests share: sources in a few lines, the command line, children that may die."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnclip.commands import main

Draw = Callable[..., bytes]
CnClip = Callable[..., Path]
Tree = Callable[[Path], dict[str, str]]


@dataclass(frozen=True)
class Outcome:
    """How a call of the command line ended.

    Attributes:
        code: exit code; the negative number of the signal that ended the process.
        out, err: what it printed.
    """

    code: int
    out: str
    err: str

    @property
    def place(self) -> str:
        """What stands behind `at` in the message."""
        return next((line[5:] for line in self.err.splitlines() if line.startswith("  at ")), "")

    def is_told(self) -> bool:
        """Whether the user was told what, where and what to do, instead of being shown a traceback."""
        told = "error[E" in self.err and "\n  at " in self.err and "\n  fix: " in self.err
        return told and "Traceback" not in self.err


Forked = Callable[..., Outcome]


@pytest.fixture(scope="session")
def draw() -> Draw:
    """A picture that no other number gives."""

    def picture(number: int, *, size: int = 16, form: str = "PNG") -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (size, size), (number % 256, number // 256 % 256, 77)).save(buffer, form)
        return buffer.getvalue()

    return picture


@pytest.fixture(scope="session")
def cn_clip(draw: Draw) -> CnClip:
    """Writes a cn_clip split: good rows, then the lines given, as they are."""

    def write(
        folder: Path, rows: int = 1, *, images: Sequence[bytes] = (), texts: Sequence[bytes] = ()
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        image_lines = [f"{number}\t".encode() + base64.b64encode(draw(number)) for number in range(rows)]
        text_lines = [
            json.dumps(
                {"text_id": n, "text": f"第{n}句，“猫”", "image_ids": [n]}, ensure_ascii=False
            ).encode()
            for n in range(rows)
        ]
        for name, lines in (
            ("train_imgs.tsv", [*image_lines, *images]),
            ("train_texts.jsonl", [*text_lines, *texts]),
        ):
            (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
        return folder

    return write


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process.

    A build starts one process that decodes unless it is told otherwise: they are most of what a tiny one
    costs, and test_same_bytes.py shows that their number changes nothing.
    """

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        if words[:2] == ("data", "build") and "--workers" not in words:
            words = (*words, "--workers", 1)
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def tree() -> Tree:
    """Relative name -> sha256 of each file (or where each link leads) below a folder; folders have ""."""

    def of(folder: Path) -> dict[str, str]:
        found = {}
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        return found

    return of


@pytest.fixture(scope="session")
def forked() -> Forked:
    """Runs something in a child of this process, which may be limited, wounded or killed."""

    def run(action: Callable[[], Any], *, before: Callable[[], None] = lambda: None) -> Outcome:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            sys.stdout.flush()
            sys.stderr.flush()
            child = os.fork()
            if child == 0:
                _run_child(action, before, out.fileno(), err.fileno())
            status = os.waitpid(child, 0)[1]
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        return Outcome(os.waitstatus_to_exitcode(status), *texts)

    return run


@pytest.fixture(scope="session")
def forked_cli(forked: Forked) -> Callable[..., Outcome]:
    """Runs the command line in a child; `before` is called there first."""

    def run(*words: object, before: Callable[[], None] = lambda: None) -> Outcome:
        return forked(lambda: main([str(word) for word in words]), before=before)

    return run


def _resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _forget_peak() -> None:
    """The peak of this process begins anew at what it has now."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Most bytes that this process had in memory since `_forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.fixture(scope="session")
def growth_of(forked: Forked) -> Callable[[Callable[[], None]], int]:
    """Bytes by which memory grows at most during an action that must end well."""

    def measure(action: Callable[[], None]) -> int:
        def child() -> int:
            _forget_peak()
            before = _resident()
            action()
            print("grown", _peak() - before, flush=True)
            return 0

        if not Path("/proc/self/clear_refs").exists():
            pytest.skip("memory at its peak is asked of Linux")
        ended = forked(child)
        assert ended.code == 0, ended.err[-3000:]
        return int(ended.out.rpartition("grown ")[2])

    return measure


def _run_child(action: Callable[[], Any], before: Callable[[], None], out: int, err: int) -> None:
    """Everything that a forked child does; it never comes back."""
    code = 70
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), line_buffering=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
        before()
        code = int(action() or 0)
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    os._exit(code)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A new folder that any user may enter, which pytest's own is not; writable for its owner only."""
    with tempfile.TemporaryDirectory(prefix="cnclip-conformance-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
