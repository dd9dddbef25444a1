"""`cnclip model export`: a model for programs without torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from cnclip.export import ExportOptions, ExportPrecision, Towers, export_onnx, parity_table, require_onnx
from cnclip.zoo import load_from_name


def export(
    format: Literal["onnx"],
    model: str,
    output: Path,
    *,
    towers: Towers = "separate",
    precision: ExportPrecision = "fp32",
    opset: int = 18,
    min_cosine: float | None = None,
    device: str = "cpu",
) -> int:
    """Write a model as ONNX files with tokenizer.json, vocab.txt, preprocessing.json and a README.

    Batch size and text length are free; features come out as from encode_image and encode_text, not
    normalised. onnxruntime runs the files, and they are compared with the model before the folder gets its
    name.

    Examples:
        cnclip model export onnx ViT-B-16 exports/vit-b-16
        cnclip model export onnx checkpoints/emoji-stage2 exports/emoji-int8 --precision int8
        cnclip model export onnx ViT-B-16 exports/both --towers joint --precision fp16

    Args:
        format: onnx.
        model: a model's name, folder or file.
        output: folder to write; it must not exist.
        towers: separate = image.onnx and text.onnx; joint = model.onnx with both and their logits; image or
            text = that one only.
        precision: fp32; fp16 = half the bytes, for GPUs; int8 = about a quarter, for CPUs, less exact (the
            convolutions of a ResNet stay float32).
        opset: version of ONNX's operators, 18 to 22.
        min_cosine: how near the features must be to the model's, or nothing is written; without it 0.99999
            for fp32, 0.9999 for fp16, 0.99 for int8. In any case no number of a feature row may be off by
            more than 0.0001, 0.005, 0.05 of the longest row's length: a cosine does not see a wrong length.
        device: where torch computes what the files are compared with: cpu, cuda …
    """
    require_onnx()
    options = ExportOptions(towers=towers, precision=precision, opset=opset, min_cosine=min_cosine)
    _report(f"loading {model}")
    loaded, _ = load_from_name(model, device=device)
    rows = export_onnx(loaded, output, options, progress=_report)
    print(parity_table(rows))
    for file in sorted(output.iterdir()):
        print(f"{file.stat().st_size / 1e6:>10.2f} MB  {output / file.name}")
    return 0


def _report(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
