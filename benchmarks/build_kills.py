"""Builds that are killed at random moments: what is left is refused, and goes on to the same bytes.

    python benchmarks/build_kills.py                # 50 kills in builds of 3 000 JPEGs
    python benchmarks/build_kills.py --kills 200 --seed 7

One build is left alone. The others get SIGKILL at moments drawn between their start and the time that
they would need; every fifth kill hits a process that checks pictures instead of the builder, which
then has to go on by itself. After each kill the target must be absent or whole, and opening it must be
refused or work. Each build is then finished by the same call, and each file must have the sha256 of the
undisturbed build's. Workers, PYTHONHASHSEED and the number of kills of a build are drawn too. Ends with 1
where anything differs. A row is added to benchmarks/build_kills.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RECORD = Path(__file__).with_suffix(".jsonl")
MOST_KILLS_OF_A_BUILD = 4
CHILD_KILLS = 5  # each so-many-th kill hits a process that checks pictures
SIDES = 24, 96  # pixels of the JPEGs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="add no row to the record")
    parser.add_argument("--builder", nargs=3, metavar=("SOURCE", "STORE", "WORKERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.builder:
        return builder(*options.builder)
    with tempfile.TemporaryDirectory() as folder:
        row = measure(Path(folder), options.kills, options.pictures, random.Random(options.seed))
    if not options.dry:
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return 1 if row["faults"] else 0


def builder(source: str, store: str, workers: str) -> int:
    """One build with processes that check pictures; takes notes often, so that there is much to be cut."""
    from cnclip.images.check_processes import CheckProcesses
    from cnclip.stores.raw import read_source
    from cnclip.stores.writer import BuildOptions, build_store

    options = BuildOptions(
        on_bad="skip", max_bad_share=0.2, shard_images=700, note_events=64, workers=int(workers)
    )
    with CheckProcesses() as prepare:
        build_store(
            read_source(source),
            store,
            prepare=prepare,
            options=options,
            say=lambda line: print(line, flush=True),
        )
    return 0


def measure(folder: Path, kills: int, pictures: int, drawn: random.Random) -> dict[str, Any]:
    """Build, kill and compare; prints a line for each build."""
    source = write_source(folder, pictures, drawn)
    start = time.monotonic()
    subprocess.run(command(source, folder / "whole", 2), check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - start
    expected = tree(folder / "whole")
    print(f"{pictures} pictures, {len(expected)} files; undisturbed build {seconds:.1f} s")
    print(f"{'build':>5} {'kills':>5}  what was left after each, and what the next one found")
    done, faults, left, number = 0, 0, Counter[str](), 0
    while done < kills:
        number += 1
        target = folder / f"store-{number}"
        story = []
        for _ in range(min(drawn.randint(1, MOST_KILLS_OF_A_BUILD), kills - done)):
            done += 1
            state = kill_one(source, target, seconds, drawn, hits_child=done % CHILD_KILLS == 0)
            story.append(state)
            left[state.split(":")[0]] += 1
            faults += "FAULT" in state
            if target.exists():
                break
        found = finish(source, target, drawn)
        same = target.exists() and tree(target) == expected
        clean = sorted(path.name for path in folder.glob(f"*{target.name}*")) == [target.name]
        faults += not (same and clean)
        story.append(
            found
            + (" = same bytes" if same else " FAULT: OTHER BYTES")
            + ("" if clean else " FAULT: leftovers")
        )
        print(f"{number:>5} {len(story) - 1:>5}  " + " | ".join(story), flush=True)
        subprocess.run(["rm", "-rf", str(target)], check=True)
    print(f"{done} kills in {number} builds: {dict(left)}; faults: {faults}")
    return {"kills": done, "builds": number, "pictures": pictures, "left": dict(left), "faults": faults,
            "seconds": round(seconds, 2)}  # fmt: skip


def kill_one(source: Path, target: Path, seconds: float, drawn: random.Random, *, hits_child: bool) -> str:
    """Start a build, kill it or a process of its own; says what is left."""
    process = start_builder(source, target, drawn)
    moment = drawn.uniform(0, 0.9 * seconds)
    time.sleep(moment)
    hit = ""
    if hits_child:
        pids = children_of(process.pid)
        if pids:
            os.kill(drawn.choice(pids), 9)
            hit = "child, then "
        time.sleep(drawn.uniform(0, 0.3 * seconds))
    process.kill()
    process.wait()
    if target.exists():
        state = "whole: " if opens(target) else "FAULT, there but does not open: "
    else:
        state = "FAULT, opens though absent: " if opens(target) else "unfinished: "
    return f"{state}{hit}{moment:.2f} s"


def finish(source: Path, target: Path, drawn: random.Random) -> str:
    """Finish a build; says what it found."""
    process = start_builder(source, target, drawn)
    shown, error = process.communicate()
    if process.returncode and "the store is there already" not in error:
        return f"FAULT: {error.strip().splitlines()[-1]}"
    return shown.strip().rpartition(": ")[2] or "nothing was left to do or found"


def start_builder(source: Path, target: Path, drawn: random.Random) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(drawn.randint(0, 1000))}
    return subprocess.Popen(
        command(source, target, drawn.randint(1, 4)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(source: Path, target: Path, workers: int) -> list[str]:
    return [sys.executable, __file__, "--builder", str(source), str(target), str(workers)]


def opens(target: Path) -> bool:
    """Whether a reader takes the store, all of it."""
    from cnclip.errors import CnclipError
    from cnclip.stores.reader import StoreReader

    try:
        with StoreReader(target) as reader:
            reader.verify()
            return reader.pair_count > 0
    except CnclipError:
        return False


def write_source(folder: Path, pictures: int, drawn: random.Random) -> Path:
    """A table of JPEGs with one or two captions each; some pictures are cut off, some rows repeat one."""
    import numpy as np
    from PIL import Image

    (folder / "pictures").mkdir()
    lines = ["image,caption"]
    noise = np.random.default_rng(drawn.randint(0, 1 << 30))
    for number in range(pictures):
        sides = drawn.randint(*SIDES), drawn.randint(*SIDES)
        pixels = noise.integers(0, 256, (*sides, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
        data = buffer.getvalue()[: -200 if number % 97 == 5 else None]
        (folder / "pictures" / f"图{number}.jpg").write_bytes(data)
        lines.append(f"图{number}.jpg,第{number}张图，颜色{number % 13}")
        if number % 3 == 0:
            lines.append(f"图{drawn.randint(0, number)}.jpg,又一句{number}")
    table = folder / "pictures" / "rows.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def tree(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def children_of(pid: int) -> list[int]:
    """Numbers of the processes that a process started."""
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(child) for text in lists for child in text.split()]


if __name__ == "__main__":
    raise SystemExit(main())
