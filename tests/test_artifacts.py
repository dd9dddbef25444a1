"""Finished artefacts are whole, verifiable, and never lost half-way."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnclip.artifacts import (
    atomic_dir,
    atomic_file,
    check_target,
    read_json,
    read_manifest,
    remove_dir,
    sweep,
    verify_dir,
    write_json,
    write_manifest,
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


def test_what_cnclip_did_not_make_is_never_swapped_out(tmp_path: Path) -> None:
    precious = tmp_path / "家"
    precious.mkdir()
    with atomic_dir(precious, replace=True) as temporary:  # an empty folder is nobody's work
        (temporary / "x").write_text("ours")
    (precious / "MANIFEST.json").unlink()
    file = tmp_path / "论文.txt"
    file.write_text("theirs")
    for target in (precious, file):
        refused = pytest.raises(ArtifactError, match=r"no MANIFEST\.json\n.*\n  fix: ")
        with refused, atomic_dir(target, replace=True):
            pytest.fail("work began before the refusal")
    with pytest.raises(ArtifactError, match="was not made by cnclip"), atomic_dir(tmp_path / "late") as half:
        (half / "x").write_text("ours")
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "y").write_text("theirs")
    assert (precious / "x").read_text() == "ours" and file.read_text() == "theirs"
    assert (tmp_path / "late" / "y").read_text() == "theirs"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["late", "家", "论文.txt"]


def test_a_failing_block_leaves_the_old_folder(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "a") as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(KeyError), atomic_dir(tmp_path / "a", replace=True) as temporary:
        (temporary / "x").write_text("new")
        raise KeyError
    assert verify_dir(tmp_path / "a") and (tmp_path / "a" / "x").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


_DYING_WRITER = """
import os, sys
from pathlib import Path
from cnclip.artifacts import atomic_dir, atomic_file
with atomic_dir(Path(sys.argv[1]) / "a-a") as folder, atomic_file(Path(sys.argv[1]) / "f-f") as file:
    file.write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_leftovers_of_dead_processes_are_swept_and_an_orphaned_predecessor_comes_back(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _DYING_WRITER, str(tmp_path)], check=False)
    left = {entry.name for entry in tmp_path.iterdir()}
    assert len(left) == 2 and all(name.startswith(".tmp-") for name in left)
    orphan = next(name for name in left if name.endswith("-a-a")).replace(".tmp-", ".old-")
    (tmp_path / f"{orphan.removesuffix('-a-a')}-b-b").mkdir()
    with atomic_dir(tmp_path / "c") as running:
        assert {entry.name for entry in tmp_path.iterdir()} == {running.name, "b-b"}
        assert sweep(tmp_path) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b-b", "c"]


def test_leftovers_of_other_hosts_stay_because_their_writers_may_run(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _DYING_WRITER, str(tmp_path)], check=False)
    here = {entry.name for entry in tmp_path.iterdir()}
    prefix, _, pid, token, *_ = min(here).split("-")
    there = {f"{prefix}-node_2d_7-{pid}-{token}-a", f".old-node_2d_7-{pid}-{token}-b"}
    for name in there:
        (tmp_path / name).mkdir()
    assert {entry.name for entry in sweep(tmp_path)} == here
    assert {entry.name for entry in tmp_path.iterdir()} == there


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
    for other in ("[]", "1" * 5000, '{"format": 1}', '{"format": 1, "facts": {}, "files": {}}', "\0"):
        (tmp_path / "MANIFEST.json").write_text(other)
        with pytest.raises(ArtifactError):
            read_manifest(tmp_path)


def test_every_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "a", facts={"字": "图", "n": [1, None, True, 0.25], 7: {}}) as temporary:
        (temporary / "x").write_bytes(b"x" * 300)
    good = (tmp_path / "a" / "MANIFEST.json").read_bytes()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a" / "MANIFEST.json").write_bytes(bad)
        with pytest.raises(ArtifactError, match=r"MANIFEST\.json"):
            read_manifest(tmp_path / "a")


def test_a_manifest_of_another_layout_says_what_it_lacks_or_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    write_manifest(tmp_path, {"n": 1, "b": [2.5]})
    manifest = read_json(tmp_path / "MANIFEST.json")
    (tmp_path / "MANIFEST.json").write_text(json.dumps(dict(reversed(manifest.items()))))
    assert verify_dir(tmp_path).facts == {"n": 1, "b": [2.5]}
    for damage in ({"files": {"x": {"bytes": 1}}}, {"files": ["x"]}, {"files": {"x": 1}}, {"facts": 5}):
        content = {**manifest, **damage}
        del content["sha256"]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        (tmp_path / "MANIFEST.json").write_text(json.dumps(content))
        with pytest.raises(ArtifactError, match="lacks facts or files"):
            read_manifest(tmp_path)


def test_a_manifest_can_be_written_anew_for_changed_files(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "a", facts={"n": 1}) as temporary:
        (temporary / "x").write_text("x")
    (tmp_path / "a" / "x").write_text("changed")
    with pytest.raises(ArtifactError):
        verify_dir(tmp_path / "a")
    write_manifest(tmp_path / "a", read_manifest(tmp_path / "a").facts)
    assert verify_dir(tmp_path / "a").facts == {"n": 1}
    assert list(verify_dir(tmp_path / "a").files) == ["x"]


def test_errors_keep_place_and_remedy_across_processes() -> None:
    error = pickle.loads(pickle.dumps(SourceError("what", where="a.csv:3", fix="do")))
    assert isinstance(error, SourceError)
    assert str(error) == "what\n  at a.csv:3\n  fix: do"


def test_what_a_user_put_into_a_folder_is_not_swept_away_with_it(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "a") as folder:
        (folder / "x").write_text("x")
    (tmp_path / "a" / "笔记.md").write_text("我的")
    with (
        pytest.raises(ArtifactError, match=r"笔记\.md"),
        atomic_dir(tmp_path / "a", replace=True) as folder,
    ):
        (folder / "y").write_text("y")
    assert (tmp_path / "a" / "笔记.md").read_text() == "我的"


def test_a_file_where_a_folder_must_be_is_named_and_no_space_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "报告.txt"
    file.write_text("x")
    for target in (file / "results.json", file / "a" / "b"):
        for write in (lambda path: write_json(path, {}), lambda path: check_target(path)):
            with pytest.raises(ResourceError, match=r"报告\.txt is a file") as raised:
                write(target)
            assert "space" not in str(raised.value) and "free" not in str(raised.value)
            assert raised.value.fix is not None and "another folder" in raised.value.fix
