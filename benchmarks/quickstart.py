"""Run the quickstart in a folder of its own and record minutes per step and pairs per second.

    python benchmarks/quickstart.py                    # ten minutes
    python benchmarks/quickstart.py --minutes 1        # a tenth of the training

A row is added to benchmarks/quickstart.jsonl and shown beside the one before it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cnclip.artifacts import read_json
from cnclip.commands import main as cnclip
from cnclip.training.monitor import METRICS_NAME, read_metrics

RECORD = Path(__file__).with_suffix(".jsonl")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "benchmark-quickstart")
    options = parser.parse_args()
    if options.folder.exists():
        if not (options.folder / "results.json").exists():
            print(f"{options.folder} holds something else: choose another --folder", file=sys.stderr)
            return 2
        shutil.rmtree(options.folder)
    code = cnclip(["quickstart", "--folder", str(options.folder), "--minutes", str(options.minutes)])
    if code:
        return code
    row = measure(options.folder, options.minutes)
    before = [json.loads(line) for line in RECORD.read_text().splitlines()] if RECORD.exists() else []
    same = [old for old in before if old["asked_minutes"] == row["asked_minutes"]]
    with open(RECORD, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    show(row, same[-1] if same else None)
    return 0


def measure(folder: Path, minutes: float) -> dict[str, Any]:
    """One row: what ran where, minutes per step, median pairs per second per stage, recall, memory."""
    results = read_json(folder / "results.json")
    speeds = {}
    for run in sorted((folder / "runs").iterdir()):
        rows = [row for row in read_metrics(run / METRICS_NAME) if row["kind"] == "train"]
        speeds[run.name.partition("-")[0]] = round(
            statistics.median(row["pairs_per_second"] for row in rows), 1
        )
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return {
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "asked_minutes": minutes,
        "minutes": results["minutes"],
        "pairs_per_second": speeds,
        "t2i_mean_recall": {
            name: results[name]["retrieval"]["text_to_image"]["mean_recall"]
            for name in ("emoji_stage1", "emoji_stage2")
        },
        "peak_gigabytes": results["peak_gigabytes"],
    }


def show(row: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Print a row, with ratios to the one before."""
    for section in ("minutes", "pairs_per_second", "t2i_mean_recall"):
        for name, value in row[section].items():
            old = before[section].get(name) if before else None
            ratio = f"   x{value / old:.2f} of {before['commit']}" if before and old else ""
            print(f"{section:<18} {name:<14} {value:>9}{ratio}")
    print(f"{'peak_gigabytes':<33} {row['peak_gigabytes']:>9}")


if __name__ == "__main__":
    raise SystemExit(main())
