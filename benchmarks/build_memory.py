"""Peak memory of `cnclip data build` for small and for large sources: it must not grow with the source.

    python benchmarks/build_memory.py                        # 10 000 and 100 000 pairs
    python benchmarks/build_memory.py --pairs 2000 20000

Distinct small pictures with a caption each, as cn_clip's files and as a table of files. The command runs in a
process of its own with two checking processes; the resident memory of the builder, and of all its processes
together, is read twenty times a second while the store is being built; `command` is the builder's peak with
the account of the captions that it prints afterwards. `anonymous` is what the builder holds itself, without
pages of files that the system may take back at any time. A row is added to benchmarks/build_memory.jsonl.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RECORD = Path(__file__).with_suffix(".jsonl")
POLL_SECONDS = 0.05
PEAKS = ("builder", "anonymous", "all", "command")
MB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("--kinds", nargs="+", choices=["cn_clip", "table"], default=["cn_clip", "table"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="add no row to the record")
    options = parser.parse_args()
    print(f"{'kind':<8} {'pairs':>8}" + "".join(f"{name:>12}" for name in (*PEAKS, "seconds")) + "   (MB)")
    for kind in options.kinds:
        row: dict[str, Any] = {"kind": kind, "pairs": options.pairs, "workers": options.workers}
        peaks = []
        for pairs in options.pairs:
            with tempfile.TemporaryDirectory() as folder:
                source = write_source(Path(folder) / "source", kind, pairs)
                peaks.append(build(source, Path(folder) / "store", options.workers))
            told = "".join(f"{peaks[-1][name]:>12.1f}" for name in (*PEAKS, "seconds"))
            print(f"{kind:<8} {pairs:>8}{told}", flush=True)
        ratios = {name: round(peaks[1][name] / peaks[0][name], 3) for name in PEAKS}
        print(f"{kind:<8} {'ratio':>8}" + "".join(f"{ratio:>12.3f}" for ratio in ratios.values()))
        if not options.dry:
            with open(RECORD, "a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "peaks": peaks, "ratios": ratios}) + "\n")
    return 0


def build(source: Path, target: Path, workers: int) -> dict[str, float]:
    """Peak memory in MB, and seconds, of one run of the command."""
    command = [sys.executable, "-m", "cnclip", "data", "build", str(source), str(target)]
    command += ["--workers", str(workers)]
    staging = target.with_name(f"{target.name}.incomplete")
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=environment)
    peaks = dict.fromkeys(PEAKS, 0.0)
    while process.poll() is None:
        own, anonymous = memory_of(process.pid)
        peaks["command"] = max(peaks["command"], own)
        if staging.exists():
            every = own + sum(memory_of(child)[0] for child in children_of(process.pid))
            for name, value in (("builder", own), ("anonymous", anonymous), ("all", every)):
                peaks[name] = max(peaks[name], value)
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"the build of {source} ended with {process.returncode}")
    return {**{name: round(value, 1) for name, value in peaks.items()}, "seconds": time.monotonic() - start}


def memory_of(pid: int) -> tuple[float, float]:
    """(resident memory, of it not of files) of a process in MB; zeros where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    kilobytes = [int(found.get(name, "0 kB").split()[0]) for name in ("VmRSS", "RssAnon")]
    return kilobytes[0] * 1024 / MB, kilobytes[1] * 1024 / MB


def children_of(pid: int) -> list[int]:
    """Numbers of the processes that a process started."""
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(child) for text in lists for child in text.split()]


def write_source(folder: Path, kind: str, pairs: int) -> Path:
    """Distinct JPEGs with a caption each, in the form of `kind`."""
    folder.mkdir()
    drawn = random.Random(3)
    if kind == "cn_clip":
        with (
            open(folder / "train_imgs.tsv", "w", encoding="utf-8") as images,
            open(folder / "train_texts.jsonl", "w", encoding="utf-8") as texts,
        ):
            for number in range(pairs):
                images.write(f"{number}\t{base64.b64encode(picture(number)).decode()}\n")
                text = {"text_id": number, "text": caption(number, drawn), "image_ids": [number]}
                texts.write(json.dumps(text, ensure_ascii=False) + "\n")
        return folder
    with open(folder / "rows.csv", "w", encoding="utf-8") as table:
        table.write("image,caption\n")
        for number in range(pairs):
            path = folder / f"{number // 1000}" / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(number))
            table.write(f"{path.relative_to(folder)},{caption(number, drawn)}\n")
    return folder / "rows.csv"


def picture(number: int) -> bytes:
    """A small JPEG that no other number gives."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.new("RGB", (32, 32), (number % 256, number // 256 % 256, number // 65536))
    image.save(buffer, "JPEG", quality=90, comment=str(number))
    return buffer.getvalue()


def caption(number: int, drawn: random.Random) -> str:
    return f"第{number}张：" + "".join(drawn.choices("红绿蓝大小猫狗车花山水人草地桌子上下里奔跑", k=14))


if __name__ == "__main__":
    raise SystemExit(main())
