"""Time encode_image and encode_text on this machine's CPU: ours, transformers (sdpa) and the plain procedure.

    python benchmarks/inference.py                               # ViT-B-16, batches of 1 and 16
    python benchmarks/inference.py --architecture RN50 --threads 1 --rounds 5

All run in turns in one process on the same random weights; their features are compared first. Shown
are medians of seconds and of the ratios within a round (plain = 1, larger is faster). Captions have 8 to 40
tokens, padded to 52 as the original pads them. With one thread CPU seconds count, else wall seconds. A row
is added to benchmarks/inference.jsonl.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

from benchmarks.plain_model import PlainClip
from cnclip.architecture import FeatureArchitecture, VitArchitecture
from cnclip.checkpoints.names import to_official
from cnclip.checkpoints.to_huggingface import write_hugging_face
from cnclip.model import ARCHITECTURES, ChineseClip

RECORD = Path(__file__).with_suffix(".jsonl")
TOLERANCE = 1e-5  # relative; half precision is shown, not judged
Encoder = Callable[[Tensor], Tensor]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architecture", default="ViT-B-16", choices=list(ARCHITECTURES))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    encoders = build_encoders(options.architecture)
    rows = []
    with torch.inference_mode():
        for batch in options.batches:
            pixels, token_ids = inputs(batch, options.architecture)
            for side, batch_input in (("image", pixels), ("text", token_ids)):
                ways = {name: pair[side] for name, pair in encoders.items()}
                rows.append(
                    {"side": side, "batch": batch, **measure(ways, batch_input, options.rounds, clock)}
                )
                show(rows[-1])
    with open(RECORD, "a", encoding="utf-8") as file:
        facts = {"architecture": options.architecture, "threads": options.threads, "torch": torch.__version__}
        facts["machine"] = platform.machine()
        file.write(json.dumps({**facts, "rows": rows}) + "\n")
    return 0


def build_encoders(name: str) -> dict[str, dict[str, Encoder]]:
    """Way -> side -> encoder, all with the same weights; plain first."""
    ours = ChineseClip(ARCHITECTURES[name], seed=1).eval()
    plain = PlainClip(ARCHITECTURES[name]).eval()
    plain.load_state_dict(to_official(ours.state_dict()))
    packed = ChineseClip(ARCHITECTURES[name], seed=1).eval().pack_for_inference()
    half = ChineseClip(ARCHITECTURES[name], seed=1).eval().bfloat16().pack_for_inference()
    models: dict[str, Any] = {"plain": plain, "ours": ours, "ours, packed": packed, "ours, packed bf16": half}
    encoders = {way: {"image": m.encode_image, "text": m.encode_text} for way, m in models.items()}
    if isinstance(ARCHITECTURES[name].image, VitArchitecture):
        encoders["transformers"] = transformers_encoders(ours)
    return encoders


def transformers_encoders(model: ChineseClip) -> dict[str, Encoder]:
    import tempfile

    from transformers import ChineseCLIPModel

    with tempfile.TemporaryDirectory() as temporary:
        write_hugging_face(model, Path(temporary))
        peer: Any = ChineseCLIPModel.from_pretrained(temporary, attn_implementation="sdpa")
        peer.eval()

    def image(pixels: Tensor) -> Tensor:
        features: Tensor = peer.visual_projection(peer.vision_model(pixel_values=pixels).pooler_output)
        return features

    def text(token_ids: Tensor) -> Tensor:
        states = peer.text_model(input_ids=token_ids, attention_mask=token_ids != 0).last_hidden_state
        features: Tensor = peer.text_projection(states[:, 0])
        return features

    return {"image": image, "text": text}


def inputs(batch: int, architecture: str) -> tuple[Tensor, Tensor]:
    """Pixels float32 [B, 3, R, R], and token ids int64 [B, 52] of captions of 8 to 40 tokens (24 if one)."""
    image = ARCHITECTURES[architecture].image
    assert not isinstance(image, FeatureArchitecture)
    resolution = image.resolution
    generator = torch.Generator().manual_seed(batch)
    pixels = torch.randn(batch, 3, resolution, resolution, generator=generator)
    lengths = torch.randint(8, 41, (batch,), generator=generator) if batch > 1 else torch.tensor([24])
    token_ids = torch.randint(1000, 8000, (batch, 52), generator=generator)
    token_ids[torch.arange(52) >= lengths[:, None]] = 0
    return pixels, token_ids


def measure(
    ways: dict[str, Encoder], batch_input: Tensor, rounds: int, clock: Callable[[], float]
) -> dict[str, Any]:
    expected = ways["plain"](batch_input)
    row: dict[str, Any] = {"seconds": {}, "ratio": {}, "difference": {}}
    for way, encode in ways.items():
        difference = float((encode(batch_input).float() - expected).norm() / expected.norm())
        row["difference"][way] = difference
        if difference > TOLERANCE and "bf16" not in way:
            raise SystemExit(f"{way} is off by {difference:.1e}: nothing to compare")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, encode in ways.items():
            start = clock()
            encode(batch_input)
            seconds[way].append(clock() - start)
    for way, times in seconds.items():
        row["seconds"][way] = round(statistics.median(times), 5)
        ratios = [plain / time for plain, time in zip(seconds["plain"], times, strict=True)]
        row["ratio"][way] = round(statistics.median(ratios), 3)
    return row


def show(row: dict[str, Any]) -> None:
    print(f"{row['side']}, batch {row['batch']}:")
    for way, seconds in row["seconds"].items():
        off = row["difference"][way]
        print(f"  {way:<18} {seconds:>9.4f} s  {row['ratio'][way]:>5.2f}x  relative difference {off:.1e}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
