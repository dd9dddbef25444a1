"""A disk that fails at any moment: an error of code 5, no wrong file, and the next run finishes."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnclip.errors import ResourceError
from cnclip.hub import fetch_file

REPOSITORY, WEIGHTS = "OFA-Sys/chinese-clip-test", "clip_cn_test.pt"


@pytest.mark.parametrize("with_folder", [True, False])
def test_whichever_call_of_the_system_fails_nothing_wrong_remains(
    hub: Any, tmp_path: Path, with_folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hub.files[REPOSITORY][WEIGHTS]
    failed = 0
    for number in itertools.count(1):
        folder = tmp_path / str(number) if with_folder else None
        monkeypatch.setenv("HF_HOME", str(tmp_path / f"hf{number}"))
        calls = itertools.count(1)
        with monkeypatch.context() as patch:
            for name in ("fsync", "replace", "mkdir"):
                real = getattr(os, name)

                def failing(
                    *args: object,
                    real: Any = real,
                    calls: Any = calls,
                    number: int = number,
                    **options: object,
                ) -> object:
                    if next(calls) == number:
                        raise OSError(errno.ENOSPC, "No space left on device")
                    return real(*args, **options)

                patch.setattr(os, name, failing)
            try:
                path = fetch_file(REPOSITORY, WEIGHTS, folder=folder)
                assert path.read_bytes() == right
            except ResourceError as error:
                failed += 1
                assert error.exit_code == 5
                assert "No space left" in str(error)
            done = next(calls) <= number
        assert fetch_file(REPOSITORY, WEIGHTS, folder=folder).read_bytes() == right
        if done:
            break
    assert failed >= 3


def test_a_disk_that_is_too_small_is_exit_code_5_and_the_part_is_kept(hub: Any, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from cnclip.errors import CnclipError\n"
        "from cnclip.hub import fetch_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        f"    fetch_file({REPOSITORY!r}, {WEIGHTS!r}, folder=Path(sys.argv[1]))\n"
        "except CnclipError as error:\n"
        "    print(error)\n"
        "    sys.exit(error.exit_code)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "小")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 5, done.stderr
    assert "File too large" in done.stdout
    assert not (tmp_path / "小" / WEIGHTS).exists()
    assert (
        fetch_file(REPOSITORY, WEIGHTS, folder=tmp_path / "小").read_bytes() == hub.files[REPOSITORY][WEIGHTS]
    )
    assert "Range" in hub.bodies()[-1].headers
