"""A model to a folder of ONNX files that has been checked before it takes its name."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import torch

from cnclip import __version__
from cnclip.artifacts import atomic_dir, write_json
from cnclip.errors import RecipeError
from cnclip.export.graphs import FileKind, signature, trace
from cnclip.export.half import to_half
from cnclip.export.integer import to_int8
from cnclip.export.parity import (
    LEAST_COSINE,
    ExportPrecision,
    ParityRow,
    check,
    compare,
    compare_half_arithmetic,
)
from cnclip.export.portable_tokenizer import portable_tokenizer
from cnclip.export.spec import context_length, preprocessing, readme
from cnclip.model import ChineseClip
from cnclip.text.wordpiece import VOCAB_SIZE

Towers = Literal["separate", "joint", "image", "text"]
FILES: dict[Towers, tuple[FileKind, ...]] = {
    "separate": ("image", "text"),
    "joint": ("model",),
    "image": ("image",),
    "text": ("text",),
}
OPSETS = range(18, 23)  # from 23 on torch writes Attention, whose mask onnxruntime reads in another way
EMBEDDED_BYTES = 1024  # larger tensors go to the .data file

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class ExportOptions:
    """What is written.

    Attributes:
        towers: two files, one with both towers and logits, or one tower only.
        precision: of weights and arithmetic; inputs and outputs are float32 (token ids int64) in all.
        opset: version of the operator set, 18 to 22.
        min_cosine: of features with the model's, below which nothing is written; None = LEAST_COSINE.
    """

    towers: Towers = "separate"
    precision: ExportPrecision = "fp32"
    opset: int = 18
    min_cosine: float | None = None

    def __post_init__(self) -> None:
        if self.opset not in OPSETS:
            raise RecipeError(
                f"opset {self.opset} is not one of {OPSETS[0]} to {OPSETS[-1]}", fix="--opset 18"
            )
        if self.min_cosine is not None and not 0.0 <= self.min_cosine <= 1.0:
            raise RecipeError(f"min_cosine {self.min_cosine} is not in [0, 1]")


def require_onnx() -> None:
    """Refuse at once where the optional packages are missing.

    Raises:
        RecipeError: names them and the command that installs them.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RecipeError(f"the export to ONNX needs {', '.join(missing)}", fix='pip install "cnclip[onnx]"')


def export_onnx(
    model: ChineseClip,
    output: Path,
    options: ExportOptions | None = None,
    *,
    progress: Callable[[str], None] = lambda message: None,
) -> list[ParityRow]:
    """Write a model as ONNX files with all that they need; a crash leaves the folder whole or absent.

    Args:
        model: float32, in evaluation mode.
        output: the final folder.
        options: what is written.
        progress: is told what is being done.

    Returns:
        how far each output is from the model's, as measured with onnxruntime on the written files.

    Raises:
        RecipeError: a package is missing, or the model is not of a kind that can be exported.
        CnclipError: the files differ from the model by more than the precision explains, or a value leaves
            the range of fp16; nothing is written.
        ArtifactError: the folder exists.
        ResourceError: disk full, no permission.
    """
    require_onnx()
    options = options or ExportOptions()
    kinds = FILES[options.towers]
    _check_model(model, kinds)
    facts: dict[str, Any] = {}
    rows: list[ParityRow] = []
    with atomic_dir(output, facts=facts) as folder:
        for kind in kinds:
            file = folder / f"{kind}.onnx"
            _write_file(model, kind, file, options, progress)
            progress(f"comparing {file.name} with the model")
            rows += compare(model, kind, file)
            if options.precision == "fp16":
                rows += compare_half_arithmetic(model, kind)
        check(rows, options.precision, _least_cosine(options))
        write_json(folder / "preprocessing.json", preprocessing(model, kinds))
        text = readme(kinds, options.precision, options.opset)
        (folder / "README.md").write_text(text, encoding="utf-8")
        if options.towers != "image":
            progress("writing the tokenizer")
            portable_tokenizer(context_length(model)).save(str(folder / "tokenizer.json"))
            with as_file(files("cnclip.text") / "vocab.txt") as vocabulary:
                shutil.copyfile(vocabulary, folder / "vocab.txt")
        facts.update(_facts(model, options, rows))
    return rows


def _check_model(model: ChineseClip, kinds: tuple[FileKind, ...]) -> None:
    for kind in kinds:
        signature(model, kind)
    if model.dtype != torch.float32:
        raise RecipeError(
            f"the weights are {model.dtype}: an export starts from float32", fix="load the model as fp32"
        )
    if kinds != ("image",) and model.architecture.text.vocab_size != VOCAB_SIZE:
        raise RecipeError(
            f"the word table has {model.architecture.text.vocab_size} rows, our vocabulary {VOCAB_SIZE}",
            fix="--towers image",
        )
    assert not model.training, "a model is exported in evaluation mode"


def _write_file(
    model: ChineseClip,
    kind: FileKind,
    file: Path,
    options: ExportOptions,
    progress: Callable[[str], None],
) -> None:
    import onnx
    import onnx_ir

    progress(f"tracing {file.name}")
    graph_model = trace(model, kind, options.opset)
    if options.precision != "fp32":
        progress(f"turning {file.name} into {options.precision}")
        convert = to_half if options.precision == "fp16" else to_int8
        convert(graph_model)
    graph_model.producer_name, graph_model.producer_version = "cnclip", __version__
    progress(f"writing {file.name}")
    onnx_ir.save(graph_model, file, external_data=f"{file.name}.data", size_threshold_bytes=EMBEDDED_BYTES)
    onnx.checker.check_model(str(file), full_check=True)


def _least_cosine(options: ExportOptions) -> float:
    return LEAST_COSINE[options.precision] if options.min_cosine is None else options.min_cosine


def _facts(model: ChineseClip, options: ExportOptions, rows: list[ParityRow]) -> dict[str, Any]:
    return {
        "kind": "onnx",
        "architecture": model.architecture.to_dict(),
        "towers": options.towers,
        "precision": options.precision,
        "opset": options.opset,
        "worst_cosine": min(row.cosine for row in rows),
        "worst_difference": max(row.difference for row in rows),
        "versions": {"cnclip": __version__} | {name: version(name) for name in ("torch", *_PACKAGES)},
    }
