"""Processes that check pictures: a decoder that dies or hangs costs its picture and nothing else."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from cnclip.errors import ImageError, ResourceError
from cnclip.images.check_processes import CheckProcesses
from cnclip.stores.raw import read_source
from cnclip.stores.writer import BuildOptions, build_store

# a decoder with the faults of real ones: it crashes, hangs, or dies once and never again
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from cnclip.errors import ImageError
from cnclip.images.check_program import serve

def prepare(data):
    if data.startswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.startswith(b"HANG"):
        time.sleep(1000)
    if data.startswith(b"ONCE") and not Path(data[4:].decode()).exists():
        Path(data[4:].decode()).touch()
        os._exit(1)
    if data.startswith(b"BAD"):
        raise ImageError("the file is cut off: 坏")
    return data.replace(b"long", b"s") if data.startswith(b"long") else None

serve(lambda settings: prepare)
"""
COMMAND = (sys.executable, "-c", PROGRAM)


def picture(size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((size, size), 50).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_are_checked_and_made_smaller_in_a_process() -> None:
    data = picture()
    with CheckProcesses() as check, CheckProcesses({"max_side": 20, "quality": 80}) as shrink:
        assert check(data) is None
        with pytest.raises(ImageError, match="truncated or damaged"):
            check(data[:-40])
        with pytest.raises(ImageError, match="empty"):
            check(b"")
        small = shrink(data)
        assert small is not None and Image.open(io.BytesIO(small)).size == (20, 20)
        assert shrink(small) is None


def test_answers_come_back_whatever_their_size() -> None:
    with CheckProcesses(command=COMMAND) as prepare:
        for size in (4, 70_000, 5_000_000):
            assert prepare(b"x" * size) is None
            assert prepare(b"long" * (size // 4)) == b"s" * (size // 4)
        with pytest.raises(ImageError, match="the file is cut off: 坏"):
            prepare(b"BAD")


def test_a_decoder_that_crashes_costs_its_picture_only() -> None:
    with CheckProcesses(command=COMMAND) as prepare:
        assert prepare(b"x") is None
        with pytest.raises(ImageError, match=r"decoder crashed \(SIGSEGV\)"):
            prepare(b"CRASH")
        assert prepare(b"long") == b"s"


def test_a_picture_gets_a_second_chance_where_its_process_died(tmp_path: Path) -> None:
    with CheckProcesses(command=COMMAND) as prepare:
        assert prepare(b"ONCE" + str(tmp_path / "mark").encode()) is None
        assert (tmp_path / "mark").exists()


def test_a_decoder_that_hangs_is_ended() -> None:
    with CheckProcesses(command=COMMAND, limit_seconds=0.5) as prepare:
        with pytest.raises(ImageError, match=r"decoder took over 0\.5 s"):
            prepare(b"HANG")
        assert prepare(b"x") is None


def test_a_program_that_does_not_start_says_why() -> None:
    command = (sys.executable, "-c", "raise SystemExit('no Pillow here')")
    with CheckProcesses(command=command) as prepare, pytest.raises(ResourceError, match="no Pillow here"):
        prepare(b"x")


def test_many_threads_have_a_process_each_and_leave_none_behind() -> None:
    together = threading.Barrier(3)

    def ask(number: int) -> bytes | None:
        if number < 3:
            together.wait(timeout=60)
        return prepare(b"long" * (1 + number))

    before = children()
    with CheckProcesses(command=COMMAND) as prepare, ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, range(60))) == [b"s" * (1 + number) for number in range(60)]
        assert 1 <= len(children() - before) <= 3
    assert children() == before


def test_no_process_is_started_before_there_is_a_picture() -> None:
    before = children()
    with CheckProcesses():
        assert children() == before


def test_processes_end_with_their_owner_even_where_that_is_killed() -> None:
    code = (
        "import time; from cnclip.images.check_processes import CheckProcesses; c = CheckProcesses();"
        "c._idle.append(c._borrowed()); print(c._idle[0]._popen.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 10
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(pid)


def test_the_program_loads_neither_torch_nor_the_tokenizer() -> None:
    heavy = "[name for name in ('torch', 'tokenizers', 'lmdb') if name in sys.modules]"
    code = f"import cnclip.images.check_program, sys; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_build_goes_on_past_decoders_that_crash_and_hang(tmp_path: Path) -> None:
    rows = []
    for name, data in (("好", b"good"), ("崩", b"CRASH"), ("挂", b"HANG"), ("长", b"long"), ("坏", b"BAD")):
        (tmp_path / f"{name}.png").write_bytes(data)
        rows.append(f"{name}.png,一张{name}图")
    table = tmp_path / "t.csv"
    table.write_text("image,caption\n" + "\n".join(rows), encoding="utf-8")
    options = BuildOptions(on_bad="skip", max_bad_share=1, workers=3)
    with CheckProcesses(command=COMMAND, limit_seconds=1) as prepare:
        report = build_store(read_source(table), tmp_path / "s", prepare=prepare, options=options)
    assert (report.images, report.pairs, report.reasons) == (2, 2, {"bad picture": 3, "picture rejected": 3})
    assert report.rejects is not None
    told = report.rejects.read_text(encoding="utf-8")
    assert "decoder crashed (SIGSEGV)" in told and "decoder took over 1 s" in told


def children() -> set[int]:
    """Processes that this one started and that run."""
    task = Path(f"/proc/{os.getpid()}/task")
    lists = [(thread / "children").read_text() for thread in task.iterdir()]
    return {int(pid) for text in lists for pid in text.split()}


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
