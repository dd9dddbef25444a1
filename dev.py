"""Make the environment and run the project's jobs; standard library only, so any Python 3.11+ can start it.

    python3 dev.py quickstart     the whole road on the bundled emoji, about ten minutes on two cores
    python3 dev.py test           every check and every test; CNCLIP_TEST_WORKERS=1 for one process
    python3 dev.py nightly        the long tests: many random kills
    python3 dev.py install        only the environment, in .venv

`make quickstart` and `make test` call exactly this.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("CNCLIP_VENV", ROOT / ".venv"))
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "installed.sha256"
TORCH = "torch==2.13.0"  # installed before the rest: no other requirement may pull another build


def main(argv: list[str]) -> int:
    verb, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    jobs = {"install": _nothing, "quickstart": _quickstart, "test": _test, "nightly": _nightly}
    if verb not in jobs:
        print(__doc__)
        return 0 if verb in {"-h", "--help"} else 2
    if sys.version_info < (3, 11):  # noqa: UP036  a user may start this with an older one
        print(f"cnclip needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    _install()
    return jobs[verb](rest)


def _install() -> None:
    """Create .venv and install the project; nothing happens where both are as they should be."""
    wanted = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        wanted.update((ROOT / name).read_bytes())
    wanted.update(f"{sys.version_info[:2]} {TORCH}".encode())
    if STAMP.is_file() and STAMP.read_text() == wanted.hexdigest():
        return
    print(f"making the environment in {VENV} (a few minutes, once)", flush=True)
    if not (VENV / "pyvenv.cfg").exists():
        _make_venv()
    constraints = ["-c", str(ROOT / "constraints.txt")]
    for packages in ([TORCH], ["-e", f"{ROOT}[dev]"]):
        _run(
            [
                "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *constraints,
                *packages,
            ]
        )
    STAMP.write_text(wanted.hexdigest())


def _make_venv() -> None:
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError:  # Debian keeps pip's part of venv in a package of its own
        shutil.rmtree(VENV, ignore_errors=True)
        print("Python cannot make environments here; on Debian: apt install python3-venv", file=sys.stderr)
        raise SystemExit(5) from None


def _nothing(_rest: list[str]) -> int:
    return 0


def _quickstart(rest: list[str]) -> int:
    return _run(["python", "-m", "cnclip", "quickstart", *rest], check=False)


def _test(rest: list[str]) -> int:
    checks = (
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["lint-imports"],
        ["python", "-m", "pytest", "-q", *_shared_out(), *rest],
    )
    failed = [" ".join(check) for check in checks if _run(check, check=False) != 0]
    if failed:
        print("failed: " + "; ".join(failed), file=sys.stderr)
    return 1 if failed else 0


def _shared_out() -> list[str]:
    """Options that share the tests out to processes: one for each core, at most four, for each takes 4 GB."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = int(os.environ.get("CNCLIP_TEST_WORKERS", min(cores, 4)))
    if workers < 2:
        return []
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads than cores wait for each other
    return ["-n", str(workers), "--dist", "worksteal"]


def _nightly(rest: list[str]) -> int:
    return _run(["python", "-m", "pytest", "-q", "-m", "nightly", "--timeout=7200", *rest], check=False)


def _run(command: list[str], *, check: bool = True) -> int:
    print("+ " + " ".join(command), flush=True)
    program = BIN / command[0]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    process = subprocess.Popen([str(program), *command[1:]], cwd=ROOT, env=environment)
    code = None
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # it reached the program too, which saves and leaves by itself
            continue
    if check and code != 0:
        raise SystemExit(code)
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
