r"""Build a store in parts on a Ray cluster, or on the cores of one machine, and join the parts.

    python recipes/cluster/build_ray.py SOURCE PARTS STORE --parts 16
    python recipes/cluster/build_ray.py "s3://bucket/{00000..00099}.tar" /shared/parts /shared/stores/all \
        --parts 100 --address auto --cpus 8 -- --on-bad skip

What stands after `--` goes to each `cnclip data build`. Parts that are done are left alone, so that the same
command goes on after a failure. PARTS and STORE lie on a disk that all machines see.
Needs `pip install "cnclip[ray]"`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import ray
except ImportError:
    raise SystemExit('Ray is not installed\n  fix: pip install "cnclip[ray]"') from None

DONE = "done before"
SHOWN_CHARACTERS = 2000


@dataclass(frozen=True)
class Outcome:
    """What became of a part: exit code and last words of its last command, and how often it was run."""

    part: int
    code: int
    tries: int
    seconds: float
    words: str


def part_store(parts: Path, part: int, count: int) -> Path:
    """The folder of a part; the number of parts is in its name, so that two cuts are never mixed."""
    return parts / f"part-{part:05d}-of-{count:05d}"


def build_part(words: list[str], store: str, part: int, tries: int) -> Outcome:
    """Run `cnclip data build` until it succeeds; each run goes on where the last one stopped."""
    start = time.monotonic()
    if (Path(store) / "MANIFEST.json").is_file():
        return Outcome(part, 0, 0, 0.0, DONE)
    command = [sys.executable, "-m", "cnclip", "data", "build", *words]  # of the machine that runs the task
    runs = 0
    while True:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
        runs += 1
        if done.returncode == 0 or runs == tries:
            break
    said = done.stdout if done.returncode == 0 else done.stderr[-SHOWN_CHARACTERS:]
    return Outcome(part, done.returncode, runs, time.monotonic() - start, said)


def build_parts(options: argparse.Namespace) -> list[Outcome]:
    """All parts, as many at a time as the cluster has room for; prints each when it is done."""
    # a machine that dies takes its task with it: Ray starts the task anew somewhere else
    task = ray.remote(num_cpus=options.cpus, max_retries=options.tries)(build_part)
    waiting: dict[Any, int] = {}
    for part in range(options.parts):
        store = str(part_store(options.folder, part, options.parts))
        words = [options.source, store, "--shard-of", f"{part}/{options.parts}"]
        words += ["--resume", "auto", "--workers", str(options.cpus), *options.rest]
        waiting[task.remote(words, store, part, options.tries)] = part
    outcomes: list[Outcome] = []
    while waiting:
        [ready], _ = ray.wait(list(waiting))
        part = waiting.pop(ready)
        try:
            outcomes.append(ray.get(ready))
        except ray.exceptions.RayError as error:  # its machine died too often
            outcomes.append(Outcome(part, 1, options.tries, 0.0, str(error)))
        code = outcomes[-1].code
        print(f"part {part}: {f'exit code {code}' if code else 'done'}", flush=True)
    return sorted(outcomes, key=lambda outcome: outcome.part)


def table(outcomes: list[Outcome]) -> str:
    """One line for each part."""
    lines = ["part   tries   seconds   outcome"]
    for outcome in outcomes:
        said = outcome.words.strip().splitlines()
        last = next((line for line in said if line), "") if outcome.code == 0 else f"exit code {outcome.code}"
        lines.append(f"{outcome.part:>4}   {outcome.tries:>5}   {outcome.seconds:>7.1f}   {last}")
    return "\n".join(lines)


def read_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("source", help="what cnclip data build is given: a folder, a file or a URL")
    parser.add_argument("folder", type=Path, metavar="parts", help="folder for the stores of the parts")
    parser.add_argument("store", type=Path, help="the store that joins them, without copying")
    parser.add_argument("--parts", type=int, default=16, help="number of parts")
    parser.add_argument(
        "--cpus", type=int, default=2, help="cores, and processes that check pictures, per part"
    )
    parser.add_argument("--tries", type=int, default=3, help="runs of a part before it is given up")
    parser.add_argument(
        "--address", help="of the Ray cluster (auto finds it); without one this machine is it"
    )
    own, rest = _split(argv)
    options = parser.parse_args(own)
    if options.parts < 2 or options.cpus < 1 or options.tries < 1:
        parser.error("--parts must be 2 or more, --cpus and --tries 1 or more")
    if "://" not in options.source:
        options.source = str(Path(options.source).absolute())  # workers have folders of their own
    options.folder, options.store = options.folder.absolute(), options.store.absolute()
    options.rest = rest
    return options


def main(argv: list[str]) -> int:
    options = read_arguments(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.address is None:
        cores = max(options.cpus, os.cpu_count() or 1)
        ray.init(num_cpus=cores, include_dashboard=False, logging_level="warning")
    else:
        ray.init(address=options.address, logging_level="warning")
    try:
        outcomes = build_parts(options)
    finally:
        ray.shutdown()
    print(table(outcomes))
    failed = [outcome for outcome in outcomes if outcome.code != 0]
    for outcome in failed:
        print(f"\npart {outcome.part} of {options.parts}:\n{outcome.words.strip()}", file=sys.stderr)
    if failed:
        print(f"\n{len(failed)} parts failed; the same command builds these only", file=sys.stderr)
        return 1
    stores = [str(part_store(options.folder, part, options.parts)) for part in range(options.parts)]
    join = [sys.executable, "-m", "cnclip", "data", "merge", *stores, str(options.store), "--index", "true"]
    return subprocess.run(join, check=False).returncode


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """(own words, those behind `--` for cnclip data build)."""
    if "--" not in argv:
        return argv, []
    place = argv.index("--")
    return argv[:place], argv[place + 1 :]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
