"""From a name to the first embedding: seconds and peak memory, each way in a fresh process.

    python benchmarks/load.py                                        # ViT-B-16, three rounds
    python benchmarks/load.py --architectures ViT-B-16 RN50 ViT-H-14 --rounds 2

Ways: ours from our folder, from a .pt of cn_clip and from a Hugging Face folder; transformers from the
latter; the original's procedure from the .pt, written out in plain_model.py (its import of torchvision,
seconds more, is not counted). Weights are random, files are in the system's cache. "again" = ours once more,
with the file's sha256 already known. Peak memory is counted above what the imports took, as a share of the
weight file. A row is added to benchmarks/load.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RECORD = Path(__file__).with_suffix(".jsonl")
TEXT = "杰尼龟"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architectures", nargs="+", default=["ViT-B-16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("WAY", "PATH", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(*options.child)
    for name in options.architectures:
        with tempfile.TemporaryDirectory(dir=ROOT) as temporary:
            row = benchmark(name, Path(temporary), options.rounds)
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return 0


def benchmark(name: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Write the files in a process of its own, then run every way in turns."""
    subprocess.run([sys.executable, __file__, "--child", "write", str(folder), name], check=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    files = {
        "plain .pt": folder / "model.pt",
        "ours .pt": folder / "model.pt",
        "ours folder": folder / "native",
        "ours folder, again": folder / "native",
    }
    if (folder / "hf").is_dir():
        files |= {"ours hf folder": folder / "hf", "transformers": folder / "hf"}
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in files}
    for _ in range(rounds):
        for way, path in files.items():
            if way == "ours folder":
                subprocess.run(["rm", "-rf", str(folder / "cache")], check=True)
            command = [sys.executable, __file__, "--child", way, str(path), name]
            start = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            runs[way].append({**json.loads(done.stdout), "total": time.perf_counter() - start})
    rows = {way: {key: median(found, key) for key in found[0]} for way, found in runs.items()}
    for way, found in runs.items():
        pairs = zip(found, runs["plain .pt"], strict=True)
        rows[way]["of plain"] = round(statistics.median(one["total"] / two["total"] for one, two in pairs), 3)
    print(f"{name}: seconds (medians of {rounds}), peak memory as a share of the file")
    for way, row in rows.items():
        print(f"  {way:<19}" + "  ".join(f"{key} {value:.2f}" for key, value in row.items()), flush=True)
    return {"architecture": name, "machine": platform.machine(), "rounds": rounds, "ways": rows}


def median(runs: list[dict[str, float]], key: str) -> float:
    return round(statistics.median(run[key] for run in runs), 3)


def child(way: str, path: str, name: str) -> int:
    if way == "write":
        write_files(Path(path), name)
        return 0
    start = time.perf_counter()
    if way == "transformers":
        from transformers import ChineseCLIPModel  # noqa: F401  (its parts come now, not while loading)
    import torch

    imported, base = time.perf_counter(), resident_bytes()
    encode_image, encode_text = encoders(way, path, name)
    loaded, peak_loading = time.perf_counter(), peak_bytes()
    with torch.inference_mode():
        encode_image(torch.zeros(1, 3, resolution(name), resolution(name)))
        encode_text()
    file = Path(path)
    file_bytes = (file if file.is_file() else file / "model.safetensors").stat().st_size
    report = {
        "import": imported - start,
        "load": loaded - imported,
        "first embeddings": time.perf_counter() - loaded,
        "peak loading": (peak_loading - base) / file_bytes,
        "peak": (peak_bytes() - base) / file_bytes,
    }
    print(json.dumps(report))
    return 0


def encoders(way: str, path: str, name: str) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    """Load a model one way; what embeds pixels, and what embeds TEXT."""
    if way.startswith("ours"):
        from cnclip import load_from_name, tokenize

        model = load_from_name(path, device="cpu")[0]
        return model.encode_image, lambda: model.encode_text(tokenize(TEXT))
    if way == "transformers":
        from transformers import ChineseCLIPModel

        peer: Any = ChineseCLIPModel.from_pretrained(path)
        peer.eval()
        return (
            lambda pixels: peer.visual_projection(peer.vision_model(pixels).pooler_output),
            lambda: peer.text_projection(peer.text_model(token_ids()).last_hidden_state[:, 0]),
        )
    from benchmarks.plain_model import plain_load
    from cnclip.architecture import ARCHITECTURES

    plain = plain_load(Path(path), ARCHITECTURES[name])
    return plain.encode_image, lambda: plain.encode_text(token_ids())


def write_files(folder: Path, name: str) -> None:
    from cnclip.architecture import ARCHITECTURES, VitArchitecture
    from cnclip.checkpoints import save_checkpoint
    from cnclip.checkpoints.official import write_official
    from cnclip.checkpoints.to_huggingface import write_hugging_face
    from cnclip.model import ChineseClip

    model = ChineseClip(ARCHITECTURES[name], seed=1)
    save_checkpoint(model, folder / "native")
    write_official(model, folder / "model.pt")
    if isinstance(ARCHITECTURES[name].image, VitArchitecture):
        (folder / "hf").mkdir()
        write_hugging_face(model, folder / "hf")


def token_ids() -> Any:
    """The plain 52 tokens of TEXT."""
    import torch

    return torch.tensor([[101, 3345, 2225, 7991, 102] + [0] * 47])


def resolution(name: str) -> int:
    from cnclip.architecture import ARCHITECTURES

    return int(ARCHITECTURES[name].image.resolution)  # type: ignore[union-attr]


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    raise SystemExit(main())
