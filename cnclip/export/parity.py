"""Whether an exported file computes what the model computes: onnxruntime against torch, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cnclip.errors import CnclipError
from cnclip.export.graphs import FEATURES, LOGITS, PIXELS, SIDES, TOKENS, FileKind, Side, signature
from cnclip.export.half_arithmetic import half_features
from cnclip.model import ChineseClip, unit_rows
from cnclip.text.wordpiece import CLS_ID, PAD_ID, SEP_ID

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ExportPrecision = Literal["fp32", "fp16", "int8"]
Rows: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

BATCHES = (1, 7, 16)
LENGTHS = (2, 13, 52)
# int8: ViT-B-16 with random weights gives 0.9996, a trained tiny model 0.9999; where some channels of the
# activations are 10 times as large as the others, 0.9986; 30 times, 0.988: there the user should decide.
LEAST_COSINE: dict[ExportPrecision, float] = {"fp32": 0.99999, "fp16": 0.9999, "int8": 0.99}
# Of features, in units of the longest row; cosines do not see a wrong length. Measured with those models:
# fp16 5e-4; int8 7e-3, and 0.03 with the channels of 10 times the size, in rows of 32 numbers. A row of twice
# the length is off by 0.12 and more, that of the widest model (1024).
MOST_DIFFERENCE: dict[ExportPrecision, float] = {"fp32": 1e-4, "fp16": 5e-3, "int8": 5e-2}
MOST_LOGIT_DIFFERENCE = 1e-4  # from the file's own features, in units of the scale

_CHINESE_IDS = (670, 8000)  # where the vocabulary has single Chinese characters


class ParityRow(NamedTuple):
    """One comparison.

    Attributes:
        output: name of the output.
        batch: rows.
        length: tokens a row; 0 for pictures.
        difference: max |onnxruntime - torch| / longest row; of logits max |difference| / logit scale.
        cosine: the smallest cosine of a row with its model; 1 for logits.
    """

    output: str
    batch: int
    length: int
    difference: float
    cosine: float


def compare(model: ChineseClip, kind: FileKind, file: Path) -> list[ParityRow]:
    """Run a file at several batch sizes and lengths, with padded rows, and compare it with the model.

    Raises:
        CnclipError: a value that is not finite.
    """
    session = open_session(file)
    sides = SIDES[kind]
    references = {side: _reference(model, side) for side in sides}
    rows: list[ParityRow] = []
    if kind != "model":
        for inputs, expected in references[sides[0]]:
            for batch in BATCHES:
                feed = {PIXELS if kind == "image" else TOKENS: inputs[:batch]}
                found = _run(session, feed, file)[FEATURES[sides[0]]]
                rows.append(_row(sides[0], found, expected[:batch], inputs))
        return rows
    (pictures, image_features), *_ = references["image"]
    scale = float(model.logit_scale.detach().exp())
    for token_ids, text_features in references["text"]:
        for images, texts in zip(BATCHES, reversed(BATCHES), strict=True):  # the two batches are independent
            answers = _run(session, {PIXELS: pictures[:images], TOKENS: token_ids[:texts]}, file)
            features = {side: answers[FEATURES[side]] for side in sides}
            rows.append(_row("image", features["image"], image_features[:images], pictures))
            rows.append(_row("text", features["text"], text_features[:texts], token_ids))
            logits = scale * _unit(features["image"]) @ _unit(features["text"]).T
            gap = float(np.abs(answers[LOGITS] - logits).max()) / scale
            rows.append(ParityRow(LOGITS, images, token_ids.shape[1], gap, 1.0))
    return rows


def compare_half_arithmetic(model: ChineseClip, kind: FileKind) -> list[ParityRow]:
    """The model against itself in float16 arithmetic, the largest batch: an estimate of a GPU.

    Raises:
        CnclipError: a value leaves the range of float16.
    """
    device = model.text_projection.device
    rows = []
    for side in SIDES[kind]:
        for inputs, expected in _reference(model, side):
            rounded = half_features(model, torch.from_numpy(inputs).to(device)).cpu().numpy()
            row = _row(side, rounded, expected, inputs)
            rows.append(row._replace(output=f"{row.output}, all half"))
    return rows


def check(rows: Sequence[ParityRow], precision: ExportPrecision, least_cosine: float) -> None:
    """Refuse an export that is too far from the model.

    Raises:
        CnclipError: names the worst row.
    """
    far = [row for row in rows if not row.difference <= _most_difference(row, precision)]
    turned = [row for row in rows if not row.cosine >= least_cosine]
    if not (far or turned):
        return
    worst = max(far, key=lambda row: row.difference) if far else min(turned, key=lambda row: row.cosine)
    fixes = {
        "fp32": "report this with the model's architecture",
        "fp16": "--precision fp32",
        "int8": "--precision fp16",
    }
    if precision == "int8" and not far:
        fixes["int8"] += f", or --min-cosine {math.floor(worst.cosine * 1000) / 1000} if that will do"
    raise CnclipError(
        f"the {precision} file is too far off: cosine {worst.cosine:.5f} (at least {least_cosine}), "
        f"difference {worst.difference:.2e} (at most {_most_difference(worst, precision):.0e})",
        where=f"{worst.output}, batch {worst.batch}" + (f", {worst.length} tokens" if worst.length else ""),
        fix=fixes[precision],
    )


def _most_difference(row: ParityRow, precision: ExportPrecision) -> float:
    return MOST_LOGIT_DIFFERENCE if row.output == LOGITS else MOST_DIFFERENCE[precision]


def parity_table(rows: Sequence[ParityRow]) -> str:
    """The comparisons as text in columns."""
    lines = [f"{'output':<26}{'batch':>6}{'length':>8}{'max diff':>11}{'min cosine':>12}"]
    for row in rows:
        cosine = "-" if row.output == LOGITS else f"{row.cosine:.6f}"
        length = str(row.length or "-")
        lines.append(f"{row.output:<26}{row.batch:>6}{length:>8}{row.difference:>11.1e}{cosine:>12}")
    return "\n".join(lines)


def open_session(file: Path) -> InferenceSession:
    """A file in onnxruntime, on the CPU, with as many threads as torch has."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    return InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _reference(model: ChineseClip, side: Side) -> list[tuple[Any, Rows]]:
    """Inputs for the largest batch, and the model's features [16, D] of them; once for each text length."""
    device = model.text_projection.device
    generator = torch.Generator().manual_seed(0)
    lengths = [length for length in LENGTHS if length <= model.architecture.text.max_positions]
    inputs = (
        [_pictures(int(signature(model, side).inputs[PIXELS][2]), generator)]
        if side == "image"
        else [_captions(length, generator) for length in lengths]
    )
    pairs = []
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for batch in inputs:
            encode = model.encode_image if side == "image" else model.encode_text
            pairs.append((batch.numpy(), encode(batch.to(device)).float().cpu().numpy()))
    return pairs


def _pictures(resolution: int, generator: torch.Generator) -> Tensor:
    """Patches of colour with some grain: float32 [16, 3, R, R], in the range of normalised pixels."""
    coarse = torch.randn(max(BATCHES), 3, 9, 9, generator=generator)
    smooth = F.interpolate(coarse, (resolution, resolution), mode="bicubic")
    return smooth + 0.1 * torch.randn(smooth.shape, generator=generator)


def _captions(length: int, generator: torch.Generator) -> Tensor:
    """Chinese characters between [CLS] and [SEP], each caption shorter than the last: int64 [16, length]."""
    token_ids = torch.randint(*_CHINESE_IDS, (max(BATCHES), length), generator=generator)
    for row, tokens in enumerate(token_ids):
        used = max(2, length - 3 * row)
        tokens[0], tokens[used - 1], tokens[used:] = CLS_ID, SEP_ID, PAD_ID
    return token_ids


def _run(session: InferenceSession, feed: dict[str, Any], file: Path) -> dict[str, Rows]:
    names = [output.name for output in session.get_outputs()]
    found: dict[str, Rows] = dict(zip(names, session.run(names, feed), strict=True))
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise CnclipError(
                f"{name} of {file.name} has values that are not finite",
                where=f"batch {len(values)}",
                fix="--precision fp32: the model's activations may leave the range of fp16",
            )
    return found


def _row(side: Side, found: Rows, expected: Rows, inputs: Any) -> ParityRow:
    longest = float(np.linalg.norm(expected, axis=1).max())
    cosine = float((_unit(found) * _unit(expected)).sum(1).min())
    length = inputs.shape[1] if side == "text" else 0
    return ParityRow(
        FEATURES[side], len(found), length, float(np.abs(found - expected).max()) / longest, cosine
    )


def _unit(features: Rows) -> Rows:
    rows: Rows = unit_rows(torch.from_numpy(features)).numpy()
    return rows
