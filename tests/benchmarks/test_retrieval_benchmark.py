"""benchmarks/retrieval.py runs: every way finds the same, and the run in blocks says its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "retrieval.py"


def run(folder: Path, *words: str) -> str:
    """What the script prints; the record stays as it is."""
    record = SCRIPT.with_suffix(".jsonl")
    before = record.read_bytes() if record.exists() else None
    command = [sys.executable, str(SCRIPT), "--quick", "--threads", "1", "--scratch", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    assert (record.read_bytes() if record.exists() else None) == before
    assert not list(folder.iterdir())  # nothing is left
    return done.stdout


def test_every_way_is_measured_and_finds_the_same(tmp_path: Path) -> None:
    shown = run(tmp_path, "--signal", "0.4")
    for way in (
        "cn_clip",
        "ours",
        "ours, R@K alone",
        "numpy argpartition",
        "matmul",
        "matmul, memory reused",
    ):
        assert f"    {way} " in shown
    for words in ("total s: cn_clip takes", "search s: ours takes", "search s: ours, R@K alone takes"):
        assert words in shown
    assert "R@1, R@5, R@10: t2i [" in shown
    assert "faiss flat" in shown or "faiss is not installed" in shown


def test_a_run_in_blocks_says_its_memory(tmp_path: Path) -> None:
    whole = json.loads(run(tmp_path, "--large", "1500", "900"))
    assert 0 <= whole["recall"]["mean_recall"] <= 100
    assert set(whole["anonymous_mb"]) == {"first quarter", "second", "third", "last quarter", "peak"}
    cut = json.loads(run(tmp_path, "--large", "1500", "900", "--limit", "1"))
    assert 0 < cut["texts_done"] < 1500 and cut["cpu_s_estimated_for_all"] >= 0
