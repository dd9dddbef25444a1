"""benchmarks/store.py runs: pictures, all stores, all ways of reading them, the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_store_benchmark_measures_every_way(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "store.py"
    record = script.with_suffix(".jsonl")
    before = record.read_bytes() if record.exists() else None
    command = [sys.executable, str(script), "--quick", "--folder", str(tmp_path / "店")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("\n    ")
    for way in ("cn_clip", "tar", "ours", "ours, side 256", "ours, exact", "ours, fast"):
        assert any(part.split("  ")[0] == way for part in parts), done.stdout
    assert "build: ours: MB ratio" in done.stdout and "raw: ours: ratio" in done.stdout
    assert (record.read_bytes() if record.exists() else None) == before
    names = {path.name for path in (tmp_path / "店").iterdir() if not path.name.startswith(".")}
    assert names >= {"source", "cn_clip", "tar", "ours", "ours, side 256"}
