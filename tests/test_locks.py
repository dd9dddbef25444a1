"""One owner at a time: named to whoever is refused, succeeded when it dies."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cnclip.errors import ResourceError
from cnclip.locks import FileLock

HERE = socket.gethostname()


def lock(path: Path) -> FileLock:
    return FileLock(path, where=path.parent, busy="works here", fix="wait for it")


_OWNER = """
import sys, time
from pathlib import Path
from cnclip.locks import FileLock
with FileLock(Path(sys.argv[1]), where=Path(), busy="", fix=""):
    print("started", flush=True)
    time.sleep(60)
"""


def test_the_owner_is_named_with_its_host_and_gone_when_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "新" / "锁"
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None and owner.stdout.readline() == "started\n"
        with pytest.raises(ResourceError) as caught, lock(path):
            pass
        message = f"process {owner.pid} on {HERE} works here\n  at {path.parent}\n  fix: wait for it"
        assert str(caught.value) == message
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert path.exists()
    with lock(path):
        pass
    assert not path.exists()


def test_an_owner_in_the_same_process_counts_too(tmp_path: Path) -> None:
    with lock(tmp_path / "l"):
        with pytest.raises(ResourceError, match=f"process {os.getpid()} on"), lock(tmp_path / "l"):
            pass
        with lock(tmp_path / "other"):
            pass
    with lock(tmp_path / "l"):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 999999999, "host": "HERE"}'])
def test_an_owner_that_has_not_written_its_name_is_refused_after_a_while(tmp_path: Path, text: str) -> None:
    (tmp_path / "l").write_text(text.replace("HERE", HERE))
    with open(tmp_path / "l") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match="another process works here"), lock(tmp_path / "l"):
            pass
    with lock(tmp_path / "l"):
        assert f'"pid": {os.getpid()}' in (tmp_path / "l").read_text()


def test_an_owner_on_another_host_is_named(tmp_path: Path) -> None:
    (tmp_path / "l").write_text('{"pid": 999999999, "host": "node-7"}')
    with open(tmp_path / "l") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match="process 999999999 on node-7"), lock(tmp_path / "l"):
            pass


def test_a_place_without_permission_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot lock: .*\n.*\n  fix: "), lock(tmp_path / "file" / "l"):
        pass


_COUNTER = """
import sys
from pathlib import Path
from cnclip.errors import ResourceError
from cnclip.locks import FileLock
folder, done = Path(sys.argv[1]), 0
while done < 40:
    try:
        with FileLock(folder / "l", where=folder, busy="", fix=""):
            count = int((folder / "count").read_text())
            (folder / "count").write_text("")
            (folder / "count").write_text(str(count + 1))
            done += 1
    except ResourceError:
        pass
"""


def test_of_many_at_once_one_is_inside(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    arguments = [sys.executable, "-c", _COUNTER, str(tmp_path)]
    for process in [subprocess.Popen(arguments) for _ in range(4)]:
        assert process.wait() == 0
    assert (tmp_path / "count").read_text() == "160"
