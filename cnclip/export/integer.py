"""A float32 graph becomes one whose products with weights are done in 8-bit integers.

The scheme is the dynamic quantisation of onnxruntime, in operators of the standard: weights once, symmetric,
with one scale per output channel; activations at every call, by their range in that call. It is written here
because onnxruntime's own program fails on a Gemm with a transposed weight (version 1.31) and wants several
copies of the weights in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir

_LARGEST_INT8 = 127


def to_int8(graph_model: onnx_ir.Model) -> None:
    """Quantise the weights of MatMul and Gemm, in place.

    Convolutions, attention, LayerNormalization and what comes after the features stay float32. Tables whose
    rows are picked by id are stored in float16 and widened row by row: the word table is half of a text
    tower.
    """
    graph = graph_model.graph
    quantised_inputs: dict[onnx_ir.Value, onnx_ir.Node] = {}
    for node in list(graph):
        if node.op_type in {"MatMul", "Gemm"} and _float_weight(node, 1, dimensions=2) is not None:
            _quantise_product(graph, node, quantised_inputs)
        elif node.op_type == "Gather" and _float_weight(node, 0, dimensions=2) is not None:
            _narrow_table(graph, node)
    used = {value for node in graph for value in node.inputs}
    for name, value in list(graph.initializers.items()):
        if value not in used:
            del graph.initializers[name]


def _float_weight(node: onnx_ir.Node, index: int, *, dimensions: int) -> onnx_ir.TensorProtocol | None:
    """The float32 weight that a node has as this input, if it is one."""
    import onnx_ir

    value = node.inputs[index]
    tensor = None if value is None else value.const_value
    if tensor is None or tensor.dtype != onnx_ir.DataType.FLOAT or len(tensor.shape) != dimensions:
        return None
    return tensor


def _quantise_product(
    graph: onnx_ir.Graph, node: onnx_ir.Node, quantised_inputs: dict[onnx_ir.Value, onnx_ir.Node]
) -> None:
    """x @ W (+ b) -> (quantised x @ quantised W) · scale of x · scales of W (+ b)."""
    import onnx_ir

    rows, weight = node.inputs[0], node.inputs[1]
    assert rows is not None and weight is not None and weight.const_value is not None
    matrix = weight.const_value.numpy()
    bias, factor = None, np.float32(1)
    if node.op_type == "Gemm":
        options = {name: node.attributes[name].value for name in node.attributes}
        if options.get("transA", 0) or options.get("beta", 1.0) != 1.0:
            return
        matrix = matrix.T if options.get("transB", 0) else matrix
        factor = np.float32(options.get("alpha", 1.0))
        bias = node.inputs[2] if len(node.inputs) > 2 else None
    name = node.outputs[0].name or ""
    integers, scales = quantised_weight(matrix)
    weights = _initializer(graph, f"{name}_weight_int8", integers)
    zeros = _initializer(graph, f"{name}_weight_zero", np.zeros(len(scales), np.int8))
    weight_scales = _initializer(graph, f"{name}_weight_scale", factor * scales)
    quantise = quantised_inputs.get(rows)
    if quantise is None:
        quantise = onnx_ir.Node("", "DynamicQuantizeLinear", [rows], num_outputs=3, name=f"{name}_quantise")
        for output, suffix in zip(quantise.outputs, ("int8", "scale", "zero"), strict=True):
            output.name = f"{name}_input_{suffix}"
        graph.insert_before(node, quantise)
        quantised_inputs[rows] = quantise
    row_integers, row_scale, row_zero = quantise.outputs
    product = _node("MatMulInteger", [row_integers, weights, row_zero, zeros], f"{name}_integer")
    wide = _node("Cast", product.outputs, f"{name}_wide", to=onnx_ir.DataType.FLOAT)
    scale = _node("Mul", [row_scale, weight_scales], f"{name}_scale")
    scaled = _node("Mul", [wide.outputs[0], scale.outputs[0]], f"{name}_scaled")
    steps = [product, wide, scale, scaled]
    if bias is not None:
        steps.append(_node("Add", [scaled.outputs[0], bias], f"{name}_biased"))
    graph.insert_before(node, steps)
    _take_place(graph, node, steps[-1].outputs[0])


def quantised_weight(
    matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Weight float32 [K, N] as int8 [K, N] and scales float32 [N]: integers · scales is nearly the weight."""
    scales = np.abs(matrix).max(axis=0) / np.float32(_LARGEST_INT8)
    scales = np.where(scales > 0, scales, np.float32(1))  # a channel of zeros
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)


def _narrow_table(graph: onnx_ir.Graph, node: onnx_ir.Node) -> None:
    import onnx_ir

    table = node.inputs[0]
    assert table is not None and table.const_value is not None
    with np.errstate(over="ignore"):
        half = table.const_value.numpy().astype(np.float16)
    if not np.isfinite(half).all():
        return
    narrow = _initializer(graph, f"{table.name}_half", half)
    name = node.outputs[0].name or ""
    rows = _node("Gather", [narrow, node.inputs[1]], f"{name}_half")
    wide = _node("Cast", rows.outputs, f"{name}_wide", to=onnx_ir.DataType.FLOAT)
    graph.insert_before(node, [rows, wide])
    _take_place(graph, node, wide.outputs[0])


def _initializer(
    graph: onnx_ir.Graph, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> onnx_ir.Value:
    import onnx_ir

    tensor = onnx_ir.Tensor(values, name=name)
    value = onnx_ir.val(name, tensor.dtype, tensor.shape, const_value=tensor)
    graph.register_initializer(value)
    return value


def _node(
    kind: str, inputs: Sequence[onnx_ir.Value | None], name: str, *, to: int | None = None
) -> onnx_ir.Node:
    import onnx_ir

    attributes = [] if to is None else [onnx_ir.AttrInt64("to", to)]
    node = onnx_ir.Node("", kind, inputs, attributes, name=name)
    node.outputs[0].name = name
    return node


def _take_place(graph: onnx_ir.Graph, old: onnx_ir.Node, new: onnx_ir.Value) -> None:
    """Let `new` stand for the output of `old`, with its name where that is an output of the graph."""
    value = old.outputs[0]
    if value.is_graph_output():
        new.name, new.type, new.shape = value.name, value.type, value.shape
        value.name = None
    value.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(old, safe=True)
