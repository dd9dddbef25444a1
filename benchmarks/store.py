"""Stores for training: build, raw read and samples per second into training, against the peers' procedures.

    python benchmarks/store.py                                 # 5 000 made-up JPEGs of 640x480
    python benchmarks/store.py --photos photos.zip --rounds 5  # the same of real photos, see store_source.py
    python benchmarks/store.py --quick                         # does it run?

The peers are Chinese-CLIP's LMDB (pickle and base64) and tar shards, see plain_store.py. All are built from
the same {split}_imgs.tsv; files are in the system's cache; measurements take turns, each in a process of its
own. `raw` is a pair's file and caption, in random order (tar: as they lie). `load` is what reaches training
once the workers are up: pixels squashed to 224 and normalised (ours in the main process, as training does
it), captions tokenized. A ratio is the median over the rounds of (this way / cn_clip). A row is added to
benchmarks/store.jsonl.
"""

from __future__ import annotations

import argparse
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

import PIL
import torch

from benchmarks import store_source
from benchmarks.store_ways import BUILD_OPTIONS, LOADS, PEERS, Found, build, deviation, load, raw

RECORD = Path(__file__).with_suffix(".jsonl")
HIGHER, LOWER = 1, -1
TARGETS = (  # part, way, number, which side of the target is good, target
    ("build", "ours", "MB ratio", LOWER, 0.76),
    ("raw", "ours", "ratio", HIGHER, 30.0),
    ("load", "ours, fast", "ratio", HIGHER, 1.5),
    ("load", "ours, side 256, fast", "ratio", HIGHER, 4.0),
)


def main() -> int:
    options = parsed()
    if options.child:
        print(json.dumps(child(options.folder, options, *options.child)))
        return 0
    if options.quick:
        options.pictures, options.rounds, options.passes, options.batch = 40, 1, 1, 8
        options.workers = [0]
    if options.folder is not None:
        row = benchmark(options.folder, options)
    else:
        with tempfile.TemporaryDirectory(dir=ROOT) as temporary:
            row = benchmark(Path(temporary), options)
    judge(row["results"])
    if not (options.dry or options.quick):
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--photos", type=Path, help="zip or folder of photos to make the pictures of")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passes", type=int, default=7, help="over all pairs in a round of raw reads")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where to work; what it holds is used again and kept")
    parser.add_argument("--quick", action="store_true", help="40 pictures, one round in one process")
    parser.add_argument("--dry", action="store_true", help="add no row to the record")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def child(folder: Path, options: argparse.Namespace, what: str, *arguments: str) -> dict[str, Found]:
    """One measurement: way -> numbers."""
    torch.set_num_threads(1)
    if what == "build":
        return {arguments[0]: build(folder, arguments[0])}
    if what == "raw":
        return raw(folder, options.passes)
    return {arguments[0]: load(folder, arguments[0], options.batch, int(arguments[1]))}


def benchmark(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Make the pictures, then every measurement in turns: the row for the record."""
    if not (folder / "source").exists():
        store_source.write_source(folder / "source", options.pictures, options.photos)
    parts = {"build": [["build", way] for way in (*PEERS, *BUILD_OPTIONS)], "raw": [["raw"]]}
    for workers in options.workers:
        parts[f"load, {workers} workers"] = [["load", way, str(workers)] for way in (*PEERS, *LOADS)]
    results: dict[str, Any] = {}
    for title, calls in parts.items():
        rounds = []
        for turn in range(options.rounds):
            print(f"{title}: round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
            rounds.append(one_round(folder, options, calls, turn))
        results[title] = medians(rounds)
        show({title: results[title]})
    results["fast pixels"] = {"steps of 1/255 off": deviation(folder, 200)}
    show({"fast pixels": results["fast pixels"]})
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return {
        "command": f"python benchmarks/store.py --pictures {options.pictures} --rounds {options.rounds} "
        f"--batch {options.batch}" + (f" --photos {options.photos.name}" if options.photos else ""),
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "results": results,
    }


def one_round(
    folder: Path, options: argparse.Namespace, calls: list[list[str]], turn: int
) -> dict[str, Found]:
    """Every call once, each in a process of its own; each round starts with another one."""
    command = [sys.executable, __file__, "--folder", str(folder), "--batch", str(options.batch)]
    command += ["--passes", str(options.passes), "--child"]
    found: dict[str, Found] = {}
    first = turn % len(calls)
    for call in calls[first:] + calls[:first]:
        if options.quick:
            found |= child(folder, options, *call)
            continue
        done = subprocess.run([*command, *call], check=True, stdout=subprocess.PIPE, text=True)
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def medians(rounds: list[dict[str, Found]]) -> dict[str, Found]:
    """Way -> the median of each number, and of its ratios to the first peer's."""
    table: dict[str, Found] = {}
    for way in sorted(rounds[0], key=[*PEERS, *BUILD_OPTIONS, *LOADS].index):
        table[way] = {}
        for name in rounds[0][way]:
            ratios = [found[way][name] / found[PEERS[0]][name] for found in rounds]
            table[way][name] = round(statistics.median(found[way][name] for found in rounds), 3)
            if name in ("per second", "CPU ms", "MB"):
                key = "ratio" if name == "per second" else f"{name} ratio"
                table[way][key] = round(statistics.median(ratios), 3)
    return table


def show(results: dict[str, dict[str, Found]]) -> None:
    """Print the medians."""
    for title, table in results.items():
        print(title)
        for way, numbers in table.items():
            line = "".join(f"{name} {value:,.5g}   " for name, value in numbers.items())
            print(f"    {way:<22}{line}", flush=True)


def judge(results: dict[str, dict[str, Found]]) -> None:
    """Print which targets are met."""
    for part, way, name, good, target in TARGETS:
        for title in results:
            if title.startswith(part):
                value = results[title][way][name]
                met = "met" if good * value >= good * target else "NOT met"
                print(f"{title}: {way}: {name} {value:g}, target {target:g}: {met}")


if __name__ == "__main__":
    raise SystemExit(main())
