"""From a model to ONNX graphs: which inputs and outputs each file has, and the traced graph in float32."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from cnclip.errors import CnclipError, RecipeError
from cnclip.model import ChineseClip, FeatureArchitecture, unit_rows
from cnclip.text.wordpiece import CLS_ID, PAD_ID

if TYPE_CHECKING:
    import onnx_ir

Side = Literal["image", "text"]
FileKind = Literal["image", "text", "model"]

PIXELS, TOKENS = "pixel_values", "token_ids"
FEATURES: dict[Side, str] = {"image": "image_features", "text": "text_features"}
LOGITS = "logits_per_image"
SIDES: dict[FileKind, tuple[Side, ...]] = {"image": ("image",), "text": ("text",), "model": ("image", "text")}

_FOLD_ALL_BYTES = 2**62  # weights are cut and turned once, here, and not at every start of a session
_ANY_TOKEN = 1000


class Signature(NamedTuple):
    """Names and dimensions at the border of a file; a str is a dimension that may change from call to call.

    Attributes:
        inputs: name -> dimensions.
        outputs: name -> dimensions.
    """

    inputs: dict[str, list[str | int]]
    outputs: dict[str, list[str | int]]


def signature(model: ChineseClip, kind: FileKind) -> Signature:
    """What `{kind}.onnx` takes and gives.

    Raises:
        RecipeError: pictures are asked of a model that takes ready-made features.
    """
    joint, embed_dim = kind == "model", model.architecture.embed_dim
    image_batch, text_batch = ("images", "texts") if joint else ("batch", "batch")
    inputs: dict[str, list[str | int]] = {}
    outputs: dict[str, list[str | int]] = {}
    if "image" in SIDES[kind]:
        image = model.architecture.image
        if isinstance(image, FeatureArchitecture):
            raise RecipeError("this model takes ready-made image features: it has no image tower to export",
                              fix="--towers text")  # fmt: skip
        inputs[PIXELS] = [image_batch, 3, image.resolution, image.resolution]
        outputs[FEATURES["image"]] = [image_batch, embed_dim]
    if "text" in SIDES[kind]:
        inputs[TOKENS] = [text_batch, "length"]
        outputs[FEATURES["text"]] = [text_batch, embed_dim]
    if joint:
        outputs[LOGITS] = [image_batch, text_batch]
    return Signature(inputs, outputs)


def trace(model: ChineseClip, kind: FileKind, opset: int) -> onnx_ir.Model:
    """The float32 graph of one file; its weights are the model's own memory where they need no turning.

    Raises:
        RecipeError: as `signature`.
        CnclipError: this version of torch cannot trace the model.
    """
    import onnxscript.optimizer

    borders = signature(model, kind)
    device = model.text_projection.device
    try:
        with torch.no_grad(), _without_noise():
            program = torch.export.export(
                _WholeModel(model) if kind == "model" else _OneTower(model, SIDES[kind][0]),
                _example_inputs(borders, device),
                dynamic_shapes=_dynamic_shapes(borders, model.architecture.text.max_positions),
                strict=True,  # the other way would take `len(tensor)` in a tower for a constant
            )
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                input_names=list(borders.inputs),
                output_names=list(borders.outputs),
                optimize=False,  # done below, once
                verbose=False,
            )
            assert exported is not None
            graph_model: onnx_ir.Model = exported.model
            onnxscript.optimizer.optimize(
                graph_model,
                onnx_shape_inference=False,
                input_size_limit=_FOLD_ALL_BYTES,
                output_size_limit=_FOLD_ALL_BYTES,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, NotImplementedError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), repr(error))
        raise CnclipError(
            f"torch {torch.__version__} cannot export this model at opset {opset}: {reason}",
            fix="--opset 18, or pip install -U torch onnxscript",
        ) from error
    _tidy(graph_model, borders)
    return graph_model


class _OneTower(nn.Module):
    """pixel_values float32 [B, 3, R, R], or token_ids int64 [B, T] -> features float32 [B, D]."""

    def __init__(self, model: ChineseClip, side: Side) -> None:
        super().__init__()
        self.side = side
        if side == "image":
            self.visual = model.visual
        else:
            self.bert = model.bert
            self.text_projection = model.text_projection

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor
        if self.side == "image":
            features = self.visual(batch)
        else:
            features = self.bert(batch, batch != PAD_ID) @ self.text_projection
        return features


class _WholeModel(nn.Module):
    """Both features, and the logits [N, M] that `get_similarity` gives."""

    def __init__(self, model: ChineseClip) -> None:
        super().__init__()
        self.image_tower = _OneTower(model, "image")
        self.text_tower = _OneTower(model, "text")
        self.logit_scale = model.logit_scale

    def forward(self, pixel_values: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, texts = self.image_tower(pixel_values), self.text_tower(token_ids)
        logits = self.logit_scale.exp() * unit_rows(images) @ unit_rows(texts).T
        return images, texts, logits


def _example_inputs(borders: Signature, device: torch.device) -> tuple[Tensor, ...]:
    """Small inputs of the right shapes; sizes that differ, so that no two dimensions are taken for one."""
    sizes = {"batch": 2, "images": 2, "texts": 3, "length": 13}
    examples = []
    for name, dimensions in borders.inputs.items():
        shape = [size if isinstance(size, int) else sizes[size] for size in dimensions]
        if name == PIXELS:
            examples.append(torch.zeros(shape, device=device))
        else:
            token_ids = torch.full(shape, _ANY_TOKEN, device=device)
            token_ids[:, 0] = CLS_ID
            token_ids[1:, -2:] = PAD_ID
            examples.append(token_ids)
    return tuple(examples)


def _dynamic_shapes(borders: Signature, max_positions: int) -> tuple[object, ...]:
    limits = {"length": {"max": max_positions}}
    dimensions = {
        name: torch.export.Dim(name, **limits.get(name, {}))
        for shape in borders.inputs.values()
        for name in shape
        if isinstance(name, str)
    }
    return tuple(
        {axis: dimensions[name] for axis, name in enumerate(shape) if isinstance(name, str)}
        for shape in borders.inputs.values()
    )


def _tidy(graph_model: onnx_ir.Model, borders: Signature) -> None:
    """Our names at the border; what the tracer noted inside (symbols, source lines) goes."""
    import onnx_ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(graph_model)
    graph_model.metadata_props.clear()
    graph = graph_model.graph
    for node in graph:
        for value in node.outputs:
            value.shape = value.type = None
    for value in (*graph.inputs, *graph.outputs):
        assert value.name is not None
        value.shape = onnx_ir.Shape({**borders.inputs, **borders.outputs}[value.name])
        element = onnx_ir.DataType.INT64 if value.name == TOKENS else onnx_ir.DataType.FLOAT
        value.type = onnx_ir.TensorType(element)
    graph.name = "cnclip"
    graph.doc_string = None


@contextmanager
def _without_noise() -> Iterator[None]:
    """Keep back what the exporter says about packages that nobody asked for."""
    logger = logging.getLogger("torch.onnx._internal.exporter")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
