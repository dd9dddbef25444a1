"""Two at the same target: the second is told the first one's number; a dead first one is no owner."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store

Cli = Callable[..., Any]
CnClip = Callable[..., Path]

_SLOW = """
import sys, time
from cnclip.stores.raw import read_source
from cnclip.stores.writer import build_store
def wait(step, rows, share):
    if rows == 2:
        print("started", flush=True)
        time.sleep(600)
build_store(read_source(sys.argv[1]), sys.argv[2], progress=wait)
"""


@pytest.fixture
def slow_build(cn_clip: CnClip, tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a build that stays in its third row."""
    source = cn_clip(tmp_path / "慢", 4)
    started: list[subprocess.Popen[str]] = []

    def start(target: Path) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", _SLOW, str(source), str(target)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def store(cn_clip: CnClip, cli: Cli, tmp_path: Path) -> Path:
    assert cli("data", "build", cn_clip(tmp_path / "源", 3), tmp_path / "store").code == 0
    return tmp_path / "store"


def test_every_verb_that_builds_there_is_refused_by_the_owners_number(
    slow_build: Callable[..., Any], store: Path, cli: Cli, cn_clip: CnClip, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "s"
    owner = slow_build(target)
    other, second = cn_clip(tmp_path / "别", 2), tmp_path / "second"
    assert cli("data", "build", other, second).code == 0
    for words in (
        ("build", other, target),
        ("subset", store, target, "--query", "句"),
        ("dedup", store, target),
        ("merge", store, second, target, "--prefix", "true"),
    ):
        ended = cli("data", *words)
        assert ended.code == 5, ended
        assert ended.is_told() and f"process {owner.pid} on {socket.gethostname()}" in ended.err
        assert str(target) in ended.place
    assert owner.poll() is None and not target.exists()


def test_a_dead_owner_is_succeeded_and_its_remains_go(
    slow_build: Callable[..., Any], cli: Cli, cn_clip: CnClip, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "s"
    source = cn_clip(tmp_path / "源", 3)
    slow_build(target).send_signal(signal.SIGSTOP)  # stopped is not dead
    assert cli("data", "build", source, target).code == 5
    for name, build in {
        "same": lambda target: build_store(read_source(tmp_path / "慢"), target).images == 4,
        "other": lambda target: cli("data", "build", source, target, "--resume", "fresh").code == 0,
    }.items():
        dead = slow_build(tmp_path / name / "s")
        dead.kill()
        dead.wait()
        assert not (tmp_path / name / "s").exists()
        assert build(tmp_path / name / "s")
        assert [path.name for path in (tmp_path / name).iterdir()] == ["s"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        '{"pid": "x"}',
        '{"pid": 999999999, "host": "HERE"}',
        '{"pid": 1, "host": "HERE"}',
        '{"pid": 7, "host": "else"}',
    ],
)
def test_a_lock_file_that_nobody_holds_stops_nobody(
    content: str, cli: Cli, cn_clip: CnClip, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "s"
    target.parent.mkdir()
    (target.parent / ".s.lock").write_text(content.replace("HERE", socket.gethostname()))
    assert cli("data", "build", cn_clip(tmp_path / "源", 3), target).code == 0
    assert sorted(path.name for path in target.parent.iterdir()) == ["s"]


def test_of_four_builders_at_once_one_builds_and_the_others_say_why(cn_clip: CnClip, tmp_path: Path) -> None:
    source, target = cn_clip(tmp_path / "源", 40), tmp_path / "out" / "s"
    words = [sys.executable, "-m", "cnclip", "data", "build", str(source), str(target)]
    builders = [
        subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        for _ in range(4)
    ]
    codes = []
    for builder in builders:
        _, errors = builder.communicate()
        codes.append(builder.returncode)
        assert "Traceback" not in errors
        if builder.returncode == 5:
            assert " builds this store" in errors
        elif builder.returncode == 8:
            assert "the store is there already" in errors
    assert codes.count(0) == 1 and set(codes) <= {0, 5, 8}
    assert json.loads((target / "header.json").read_text(encoding="utf-8"))["images"] == 40
    assert sorted(path.name for path in target.parent.iterdir()) == ["s"]
