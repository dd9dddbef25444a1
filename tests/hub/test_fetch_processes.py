"""Several processes fetch the same file, and processes are killed while they fetch."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cnclip.hub import fetch_file

REPOSITORY, WEIGHTS = "OFA-Sys/chinese-clip-test", "clip_cn_test.pt"
CHILD = """
import sys
from pathlib import Path
from cnclip.hub import fetch_file
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
print(fetch_file("OFA-Sys/chinese-clip-test", "clip_cn_test.pt", hub=sys.argv[1], folder=folder))
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    """A process that fetches the weights with this test's environment."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("arguments", [("huggingface",), ("huggingface", "下载"), ("modelscope",)])
def test_four_processes_fetch_the_bytes_once(
    hub: Any, tmp_path: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.bytes_per_piece, hub.seconds_per_piece = 30_000, 0.1
    monkeypatch.chdir(tmp_path)
    running = [start(*arguments) for _ in range(4)]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0, 0], outputs
    paths = {output.strip() for output, _ in outputs}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert len(hub.bodies()) == 1


def kill_and_finish(hub: Any, folder: Path, kills: int) -> None:
    """Kill fetching processes at random moments; what has the final name is always whole."""
    hub.bytes_per_piece, hub.seconds_per_piece = 10_000, 0.02
    moments = random.Random(11)
    for _ in range(kills):
        before = len(hub.bodies())
        process = start("huggingface", str(folder))
        while len(hub.bodies()) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.7))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (folder / WEIGHTS).exists():
            assert (folder / WEIGHTS).read_bytes() == hub.files[REPOSITORY][WEIGHTS]
            (folder / WEIGHTS).unlink()
    hub.seconds_per_piece = 0.0
    path = fetch_file(REPOSITORY, WEIGHTS, folder=folder)
    assert path.read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    assert sorted(entry.name for entry in folder.iterdir()) == [".cache", WEIGHTS]


def test_a_killed_download_leaves_no_file_and_the_next_run_finishes(hub: Any, tmp_path: Path) -> None:
    kill_and_finish(hub, tmp_path / "下载", kills=4)


@pytest.mark.nightly
def test_fifty_killed_downloads_leave_no_wrong_file(hub: Any, tmp_path: Path) -> None:
    kill_and_finish(hub, tmp_path / "下载", kills=50)
