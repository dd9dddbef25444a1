"""Retrieval from embeddings: ten items for each query and R@K both ways, ours and the peers' procedures.

    python benchmarks/retrieval.py                                  # 5 008 queries x 29 806 pictures, 512-d
    python benchmarks/retrieval.py --threads 1 --rounds 7 --signal 0.3
    python benchmarks/retrieval.py --queries 500 --pictures 3000    # cn_clip in seconds, not minutes
    python benchmarks/retrieval.py --quick                          # does it run?
    python benchmarks/retrieval.py --large 1000000 100000 --width 64   # memory, see retrieval_large.py

The size is that of MUGE's validation set; each picture belongs to one query, about six to a query. Rows are
random unit rows; --signal adds a share of its query to each picture. Every way runs in a process of its own,
in turns, from rows in memory: what it writes, reads and searches is timed, `MB written` is on disk, and
`peak MB` is the largest resident size above that of the rows. cn_clip's procedure is written out in
plain_retrieval.py and runs in --slow-rounds rounds only; faiss is left out where it is not installed. All
ways must find the same R@K. With --threads 1 CPU seconds count, else wall seconds. A ratio is the median over
the rounds. A row is added to benchmarks/retrieval.jsonl.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.retrieval_large import add_large_options, large
from benchmarks.retrieval_ways import WAYS, make_rows, measure

RECORD = Path(__file__).with_suffix(".jsonl")
SLOW = "cn_clip"
TOLERANCE = 0.05  # percentage points of R@K between float32 ways
TARGETS = (  # which of ours, what it is compared with, number, target, whether more is better
    ("ours", SLOW, "total s", 30.0, True),
    ("ours", "matmul", "search s", 1.3, False),
    ("ours, R@K alone", "matmul", "search s", 1.3, False),
)


def main() -> int:
    options = parsed()
    if options.child:
        print(json.dumps(measure(options.child, options.folder, cpu_clock=options.threads == 1)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.scratch) as temporary:
        if options.large:
            row = large(options, Path(temporary))
        else:
            row = benchmark(options, Path(temporary))
    if not options.dry:
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=5008)
    parser.add_argument("--pictures", type=int, default=29806)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--signal", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds in which cn_clip runs too")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--scratch", type=Path, default=ROOT, help="folder for what is written")
    parser.add_argument("--dry", action="store_true", help="add no row to the record")
    parser.add_argument("--quick", action="store_true", help="does it run? one small round in this process")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_large_options(parser)
    options = parser.parse_args()
    if options.quick:
        options.queries, options.pictures, options.width, options.rounds, options.dry = 60, 200, 32, 1, True
    return options


def benchmark(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All ways in turns: the row for the record."""
    make_rows(folder, options.queries, options.pictures, options.width, options.signal)
    ways = [way for way in WAYS if way != "faiss flat" or importlib.util.find_spec("faiss")]
    if len(ways) < len(WAYS):
        print("faiss is not installed, so that it is left out (pip install faiss-cpu)")
    rounds: list[dict[str, dict[str, Any]]] = []
    loads = [os.getloadavg()[0]]
    for number in range(options.rounds):
        turn = [way for way in ways if way != SLOW or number < options.slow_rounds]
        first = number % len(turn)
        rounds.append({way: fresh(way, folder, options) for way in turn[first:] + turn[:first]})
        same_recall(rounds[-1])
        loads.append(os.getloadavg()[0])
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    table = {
        way: medians([found[way] for found in rounds if way in found]) for way in ways if way in rounds[0]
    }
    show(table)
    ratios = [ratio(rounds, *target[:3]) for target in TARGETS]
    judge(ratios)
    return {
        "command": "python benchmarks/retrieval.py " + " ".join(given(options)),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": [round(min(loads), 1), round(max(loads), 1)],
        "clock": "CPU" if options.threads == 1 else "wall",
        "numpy": np.__version__,
        "results": table,
        "ratios": {
            f"{ours}: {name} to {way}": r for (ours, way, name, *_), r in zip(TARGETS, ratios, strict=True)
        },
    }


def given(options: argparse.Namespace) -> list[str]:
    names = ("queries", "pictures", "width", "signal", "rounds", "threads")
    return [word for name in names for word in (f"--{name}", str(getattr(options, name)))]


def fresh(way: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one way in a new process; in this one with --quick."""
    if options.quick:
        return measure(way, folder, cpu_clock=options.threads == 1)
    threads = str(options.threads)
    command = [sys.executable, __file__, "--folder", str(folder), "--threads", threads, "--child", way]
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def same_recall(found: dict[str, dict[str, Any]]) -> None:
    """All ways of a round must have found the same."""
    expected = found["ours"]["recall"]
    for way, numbers in found.items():
        for side, recall in numbers.get("recall", {}).items():
            for name, value in recall.items():
                if abs(value - expected[side][name]) > TOLERANCE:
                    raise SystemExit(f"{way}: {side} {name} is {value}, ours {expected[side][name]}")


def medians(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each number over the rounds, and the recall."""
    numbers = {
        name: round(statistics.median(one[name] for one in found), 6) for name in found[0] if name != "recall"
    }
    return numbers | {name: found[0][name] for name in found[0] if name == "recall"}


def ratio(rounds: list[dict[str, dict[str, Any]]], ours: str, way: str, name: str) -> float | None:
    """Median over the rounds of ours to another way, or of cn_clip to ours; None where that did not run."""
    times = [(float(found[way][name]), float(found[ours][name])) for found in rounds if way in found]
    ratios = [theirs / mine if way == SLOW else mine / theirs for theirs, mine in times]
    return round(statistics.median(ratios), 3) if ratios else None


def show(table: dict[str, dict[str, Any]]) -> None:
    for way, numbers in table.items():
        line = "".join(f"{name} {value:,.4g}   " for name, value in numbers.items() if name != "recall")
        print(f"    {way:<24}{line}")
    recall = table["ours"]["recall"]
    print(
        "    R@1, R@5, R@10: " + "; ".join(f"{side} {list(found.values())}" for side, found in recall.items())
    )


def judge(ratios: list[float | None]) -> None:
    for (ours, way, name, target, more), value in zip(TARGETS, ratios, strict=True):
        if value is not None:
            met = "met" if (value >= target) == more else "NOT met"
            words = f"{way} takes {value:g} times {ours}" if more else f"{ours} takes {value:g} times {way}"
            print(f"{name}: {words}, target {target:g}: {met}")


if __name__ == "__main__":
    raise SystemExit(main())
