"""Finished artefacts are whole, verifiable, and never lost half-way."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnclip.artifacts import (
    atomic_dir,
    atomic_file,
    read_json,
    read_manifest,
    remove_dir,
    sweep,
    verify_dir,
    write_json,
)
from cnclip.errors import ArtifactError, ResourceError, SourceError


def test_file_takes_its_name_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "图.json"
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write_json(target, {"字": 1})
    assert read_json(target) == {"字": 1}


def test_folder_carries_a_manifest_that_finds_every_change(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    facts = {"count": 0}
    with atomic_dir(folder, facts=facts) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "x.bin").write_bytes(bytes(range(200)))
        (temporary / "y.txt").write_text("y")
        facts["count"] = 2
    assert verify_dir(folder).facts == {"count": 2}
    data = bytearray((folder / "sub" / "x.bin").read_bytes())
    for bit in range(0, len(data) * 8, 97):
        data[bit // 8] ^= 1 << bit % 8
        (folder / "sub" / "x.bin").write_bytes(data)
        with pytest.raises(ArtifactError, match=r"x\.bin"):
            verify_dir(folder)
        data[bit // 8] ^= 1 << bit % 8
    (folder / "sub" / "x.bin").write_bytes(data[:-1])
    with pytest.raises(ArtifactError, match="bytes"):
        verify_dir(folder, deep=False)
    (folder / "y.txt").unlink()
    with pytest.raises(ArtifactError):
        verify_dir(folder, deep=False)


def test_an_existing_folder_is_replaced_only_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for content, replace in (("1", False), ("2", True)):
        with atomic_dir(folder, replace=replace) as temporary:
            (temporary / "x").write_text(content)
    with pytest.raises(ArtifactError, match="exists"), atomic_dir(folder):
        pass
    assert (folder / "x").read_text() == "2"
    remove_dir(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_the_old_folder(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "a") as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(KeyError), atomic_dir(tmp_path / "a", replace=True) as temporary:
        (temporary / "x").write_text("new")
        raise KeyError
    assert verify_dir(tmp_path / "a") and (tmp_path / "a" / "x").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_leftovers_of_dead_processes_are_swept_and_an_orphaned_predecessor_comes_back(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (
        f".tmp-{dead.pid}-00000000-a",
        f".old-{dead.pid}-00000000-b",
        f".tmp-{os.getpid()}-00000000-c",
    ):
        (tmp_path / name).mkdir()
    assert len(sweep(tmp_path)) == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f".tmp-{os.getpid()}-00000000-c", "b"]


_WRITER = """
import sys
from pathlib import Path
from cnclip.artifacts import atomic_dir
n = 0
while True:
    with atomic_dir(Path(sys.argv[1]), facts={"n": n}, replace=True) as folder:
        for part in range(4):
            (folder / str(part)).write_bytes(bytes([n % 256]) * 50_000)
    print(n, flush=True)
    n += 1
"""


def test_sigkill_while_replacing_never_leaves_a_half_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "artefact"
    for trial in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(target)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.003 * trial)
        process.send_signal(signal.SIGKILL)
        acknowledged = [line for line in process.stdout.read().split() if line.isdigit()]
        process.wait()
        sweep(tmp_path)
        facts = verify_dir(target).facts
        assert facts["n"] >= (int(acknowledged[-1]) if acknowledged else 0)


def test_a_file_size_limit_is_reported_with_its_place(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from cnclip.artifacts import atomic_file\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from cnclip.errors import ResourceError\n"
        "try:\n"
        "    with atomic_file(Path(sys.argv[1])) as t: t.write_bytes(b'0' * 5000)\n"
        "except ResourceError as e: print(e); sys.exit(e.exit_code)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "big")], capture_output=True, text=True
    )
    assert done.returncode == ResourceError.exit_code, done.stderr
    assert "big" in done.stdout and "fix:" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_unreadable_manifests_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="missing"):
        read_manifest(tmp_path)
    (tmp_path / "MANIFEST.json").write_text("{")
    with pytest.raises(ArtifactError, match="not JSON"):
        read_manifest(tmp_path)
    (tmp_path / "MANIFEST.json").write_text('{"format": 99}')
    with pytest.raises(ArtifactError, match="format"):
        read_manifest(tmp_path)


def test_errors_keep_place_and_remedy_across_processes() -> None:
    error = pickle.loads(pickle.dumps(SourceError("what", where="a.csv:3", fix="do")))
    assert isinstance(error, SourceError)
    assert str(error) == "what\n  at a.csv:3\n  fix: do"
