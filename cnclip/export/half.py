"""A float32 graph becomes a float16 one whose inputs and outputs stay float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnclip.errors import CnclipError

if TYPE_CHECKING:
    import onnx_ir


def to_half(graph_model: onnx_ir.Model) -> None:
    """Turn weights and arithmetic into float16, in place.

    LayerNormalization still sums in float32 (its `stash_type`). What is computed from the features (unit
    rows, logits) stays float32: squares of features overflow float16 early.

    Raises:
        CnclipError: a weight has no finite float16 value; its name is given.
    """
    graph = graph_model.graph
    kept = _after_outputs(graph)
    for node in graph:
        if node not in kept:
            _retype_attributes(node)
    for value in list(graph.initializers.values()):
        _retype_initializer(graph, value, kept)
    _cast_inputs(graph)
    _cast_outputs(graph, kept)


def _after_outputs(graph: onnx_ir.Graph) -> set[onnx_ir.Node]:
    """The nodes that work on something that the graph gives out."""
    found: set[onnx_ir.Node] = set()
    waiting = list(graph.outputs)
    while waiting:
        for node in waiting.pop().consumers():
            if node not in found:
                found.add(node)
                waiting.extend(node.outputs)
    return found


def _retype_attributes(node: onnx_ir.Node) -> None:
    """Constants and casts inside a node."""
    import onnx_ir

    for attribute in list(node.attributes.values()):
        if attribute.type == onnx_ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            if tensor.dtype == onnx_ir.DataType.FLOAT:
                half = _half_tensor(tensor, node.name or node.op_type)
                node.attributes[attribute.name] = onnx_ir.AttrTensor(attribute.name, half)
        elif (
            node.op_type == "Cast" and attribute.name == "to" and attribute.as_int() == onnx_ir.DataType.FLOAT
        ):
            node.attributes["to"] = onnx_ir.AttrInt64("to", onnx_ir.DataType.FLOAT16)


def _retype_initializer(graph: onnx_ir.Graph, value: onnx_ir.Value, kept: set[onnx_ir.Node]) -> None:
    """Give the float16 nodes a float16 copy of a weight; the float32 one stays where others need it."""
    import onnx_ir

    tensor = value.const_value
    if tensor is None or tensor.dtype != onnx_ir.DataType.FLOAT or value.name is None:
        return
    users = [(node, index) for node, index in value.uses() if node not in kept]
    if not users:
        return
    shared = len(users) < len(value.uses())
    name = f"{value.name}_half" if shared else value.name
    half = onnx_ir.val(
        name, onnx_ir.DataType.FLOAT16, tensor.shape.numpy(), const_value=_half_tensor(tensor, value.name)
    )
    for node, index in users:
        node.replace_input_with(index, half)
    if not shared:
        del graph.initializers[value.name]
    graph.register_initializer(half)


def _half_tensor(tensor: onnx_ir.TensorProtocol, name: str) -> onnx_ir.TensorProtocol:
    import onnx_ir

    precise = tensor.numpy()
    with np.errstate(over="ignore"):
        half = np.array(precise, dtype=np.float16)
    extreme = np.abs(precise) == np.finfo(np.float32).max  # "as low as can be", in an attention mask
    half[extreme] = np.copysign(np.finfo(np.float16).max, precise[extreme])
    lost = np.isfinite(precise) & ~np.isfinite(half)
    if lost.any():
        raise CnclipError(
            f"fp16 ends at 65504, and {name} has the value {float(np.abs(precise[lost]).max()):.6g}",
            where=name,
            fix="--precision fp32",
        )
    return onnx_ir.Tensor(half, name=name)


def _cast_inputs(graph: onnx_ir.Graph) -> None:
    import onnx_ir

    for value in graph.inputs:
        if value.dtype != onnx_ir.DataType.FLOAT:
            continue
        cast = _cast(value, onnx_ir.DataType.FLOAT16, f"{value.name}_half")
        for node, index in list(value.uses()):
            if node is not cast:
                node.replace_input_with(index, cast.outputs[0])
        graph.insert_before(graph[0], cast)


def _cast_outputs(graph: onnx_ir.Graph, kept: set[onnx_ir.Node]) -> None:
    import onnx_ir

    for position, value in enumerate(list(graph.outputs)):
        maker = value.producer()
        if maker is None or maker in kept:
            continue
        cast = _cast(value, onnx_ir.DataType.FLOAT, value.name or "")
        precise = cast.outputs[0]
        precise.shape, precise.type = value.shape, onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
        value.name, value.type, value.shape = f"{precise.name}_half", None, None
        graph.outputs[position] = precise
        for node, index in list(value.uses()):
            if node is not cast:
                node.replace_input_with(index, precise)
        graph.insert_after(maker, cast)


def _cast(value: onnx_ir.Value, to: onnx_ir.DataType, name: str) -> onnx_ir.Node:
    import onnx_ir

    cast = onnx_ir.Node("", "Cast", [value], [onnx_ir.AttrInt64("to", to)], name=f"cast_{name}")
    cast.outputs[0].name = name
    return cast
