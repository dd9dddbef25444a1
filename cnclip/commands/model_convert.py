"""`cnclip model convert`: weights in and out of other programs, with a check that they compute the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from cnclip.checkpoints.convert import Conversion, convert_checkpoint
from cnclip.checkpoints.plan import FORMATS, Format, Wanted
from cnclip.commands.model_parts import readable_bytes
from cnclip.finding import find_checkpoint


def convert(
    source: str,
    target: Path,
    *,
    to: Format = "native",
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    strip: bool = False,
    resolution: int | None = None,
    replace: bool = False,
) -> int:
    """Write a model in another format, and compare what both compute before the target is kept.

    native is our folder; cn_clip is a .pt file that Chinese-CLIP's programs load; hf is a folder that
    transformers loads with ChineseCLIPModel, BertTokenizer and ChineseCLIPProcessor.

    Examples:
        cnclip model convert ViT-B-16 checkpoints/vit-b-16
        cnclip model convert ViT-B-16 exports/vit-b-16-hf --to hf
        cnclip model convert checkpoints/emoji-stage2 exports/emoji.pt --to cn_clip --dtype fp16
        cnclip model convert runs/emoji/step-000000120 checkpoints/emoji --strip true

    Args:
        source: a model's name, folder or file.
        target: a folder; for cn_clip a file that ends in .pt.
        to: the format.
        dtype: type of the weights in the target; cn_clip takes fp32 and fp16.
        strip: leave out the training state, which is two thirds of a checkpoint.
        resolution: pixels; the position table is stretched to it.
        replace: swap out a checkpoint that is there already.
    """
    wanted = Wanted(format=to, precision=dtype, resolution=resolution, strip=strip, replace=replace)
    done = convert_checkpoint(find_checkpoint(source), target, wanted, report=_report)
    for line in _lines(done, target, wanted):
        print(line)
    return 0


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _lines(done: Conversion, target: Path, wanted: Wanted) -> list[str]:
    lines = [str(done.account)]
    for reason in dict.fromkeys(reason for _, reason in done.left_out.values()):
        parts = {name: size for name, (size, why) in done.left_out.items() if why == reason}
        lines.append(f"left out, {reason}: {', '.join(parts)} ({readable_bytes(sum(parts.values()))})")
    lines.append(
        f"{target} ({FORMATS[wanted.format]}, {wanted.precision}): {readable_bytes(done.target_bytes)}"
    )
    saved = done.source_bytes - done.target_bytes
    if saved > 0:
        lines.append(f"smaller by {saved:,} bytes of {done.source_bytes:,}")
    if done.untold:
        untold = ", ".join(done.untold)
        lines.append(f"the tensors do not tell that {untold}: cnclip finds it in the file, others must know")
    for reader, pair in done.parities.items():
        lines.append(f"same features, read back by {reader}:")
        lines += [f"  {parity}" for parity in pair]
    if wanted.format == "hf" and "transformers" not in done.parities:
        lines.append("transformers is not installed: it was not asked for a second opinion")
    return lines
