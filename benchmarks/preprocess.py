"""Tokenising and picture -> tensor against Chinese-CLIP's procedure, which plain_preprocess.py writes out.

    python benchmarks/preprocess.py
    python benchmarks/preprocess.py --rounds 3 --captions 4000

The ways take turns on one thread; a ratio is the median over the rounds of (time of the plain procedure /
time of ours). Where cn_clip is installed, its own tokenizer runs too. The pictures are the two photos that
come with scikit-learn, continued by their mirror images. A row is added to benchmarks/preprocess.jsonl and
shown beside the one before it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor

from benchmarks.plain_preprocess import PlainTokenizer, plain_tokenize, plain_transform
from cnclip.images.fast import fast_image_transform
from cnclip.images.transform import image_transform
from cnclip.text.tokenizer import tokenize
from cnclip.text.wordpiece import vocabulary

RECORD = Path(__file__).with_suffix(".jsonl")
SIZES = ((640, 480), (1500, 1000))
Way = Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="add no row to the record")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = measure_text(generated_captions(options.captions), max(1, options.rounds // 2))
    for size in SIZES:
        results |= measure_pictures(photos(size, options.pictures), f"{size[0]}x{size[1]}", options.rounds)
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    row = {
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "results": results,
    }
    before = [json.loads(line) for line in RECORD.read_text().splitlines()] if RECORD.exists() else []
    show(row, before[-1] if before else None)
    if not options.dry:
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return 0


def measure_text(captions: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Captions per second in one call, and in a call each (a tenth of the captions)."""
    few = captions[: max(1, len(captions) // 10)]
    plain = PlainTokenizer(vocabulary())
    ways: dict[str, Callable[[list[str]], Tensor]] = {
        "plain": lambda texts: plain_tokenize(plain, texts),
        "ours": lambda texts: tokenize(texts, clean="cn_clip"),
        "ours, cleaned": tokenize,
    }
    try:
        from cn_clip.clip import tokenize as installed  # type: ignore[import-not-found, unused-ignore]
    except Exception:  # not installed, or one of its dependencies is not
        pass
    else:
        ways["cn_clip"] = installed
    for name in ways:
        if name != "ours, cleaned" and not torch.equal(ways[name](few), ways["plain"](few)):
            raise SystemExit(f"{name}: other token ids than the plain procedure")
    batch = {name: (lambda way=way: way(captions)) for name, way in ways.items()}
    single = {name: (lambda way=way: [way([text]) for text in few]) for name, way in ways.items()}
    return {
        "tokenize, one call": summary(interleaved(batch, rounds), len(captions)),
        "tokenize, a call each": summary(interleaved(single, rounds), len(few)),
    }


def measure_pictures(files: list[bytes], name: str, rounds: int) -> dict[str, dict[str, float]]:
    """Pictures per second from a JPEG's bytes to float32 [3, 224, 224], and how far the ways are apart."""
    exact, fast = image_transform(224), fast_image_transform(224)
    ways: dict[str, Callable[[bytes], Tensor]] = {
        "plain": lambda data: plain_transform(Image.open(io.BytesIO(data)), 224),
        "ours": lambda data: exact(exact.read(data)),
        "fast": fast,
    }
    if any(not torch.equal(ways["ours"](data), ways["plain"](data)) for data in files):
        raise SystemExit("image_transform: other pixels than the plain procedure")
    timed = {key: (lambda way=way: [way(data) for data in files]) for key, way in ways.items()}
    off = [
        (exact.to_uint8(exact.read(data)).int() - fast.to_uint8(fast.read(data)).int()).abs().double()
        for data in files
    ]
    deviation = {
        "fast, max deviation of 255": max(float(each.max()) for each in off),
        "fast, mean deviation": round(statistics.mean(float(each.mean()) for each in off), 4),
    }
    return {f"picture {name}": summary(interleaved(timed, rounds), len(files)) | deviation}


def interleaved(ways: Mapping[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; every round starts with another way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}  # the first round warms up


def summary(seconds: dict[str, list[float]], items: int) -> dict[str, float]:
    """Items per second of each way, and each way's speed against the plain one."""
    found: dict[str, float] = {}
    for name, values in seconds.items():
        found[f"{name}, per second"] = round(items / statistics.median(values), 1)
        if name != "plain":
            ratios = [plain / ours for plain, ours in zip(seconds["plain"], values, strict=True)]
            found[f"{name}, ratio"] = round(statistics.median(ratios), 3)
    return found


def show(row: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Print a row, with ratios to the one before."""
    for title, values in row["results"].items():
        print(title)
        for name, value in values.items():
            old = before["results"].get(title, {}).get(name) if before else None
            ratio = f"   x{value / old:.2f} of {before['commit']}" if before and old else ""
            print(f"    {name:<28} {value:>10}{ratio}")


def generated_captions(count: int) -> list[str]:
    """Captions of 8 to 40 characters: Chinese, every fourth with Latin letters, digits and punctuation."""
    rng = random.Random(1)
    common = [chr(code) for code in range(0x4E00, 0x9FA5) if chr(code) in vocabulary()]
    captions = []
    for index in range(count):
        text = "".join(rng.choice(common) for _ in range(rng.randrange(8, 33 if index % 4 == 0 else 41)))
        captions.append(f"{text[:6]}，{text[6:]} NO{index % 1000}" if index % 4 == 0 else text)
    return [caption[:40] for caption in captions]


def photos(size: tuple[int, int], count: int) -> list[bytes]:
    """JPEG files (quality 90) of real photos, mirrored outwards to the size."""
    from sklearn.datasets import load_sample_images

    bases: Sequence[np.ndarray[Any, Any]] = load_sample_images().images
    files = []
    for index in range(count):
        pixels = bases[index % 2][:: -1 if index & 4 else 1, :: -1 if index & 2 else 1]
        missing = [(0, max(0, side - have)) for side, have in zip(size[::-1], pixels.shape, strict=False)]
        padded = np.pad(pixels, (*missing, (0, 0)), mode="symmetric")[: size[1], : size[0]]
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(padded)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


if __name__ == "__main__":
    raise SystemExit(main())
