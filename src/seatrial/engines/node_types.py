"""What the layers of an ONNX graph compute in: the types of the tensors that they multiply, never their names alone."""

import contextlib
from collections.abc import Iterator, Mapping

import onnx
import onnx.inliner
from onnx import AttributeProto, TensorProto

from seatrial.engines.base import UNKNOWN
from seatrial.engines.layers import count_layers
from seatrial.store.records import LayerPrecision

COMPUTING = ("Conv", "Gemm", "MatMul", "Attention", "Einsum", "LSTM", "GRU", "RNN")
"""Whatever an operator that multiplies matrices is called, fused or not, one of these is in its name."""
COMBINING = ("Add", "Mul", "Sub", "Div", "Concat", "Gather", "Embed", "Norm", "QuantizeLinear", "DequantizeLinear")
"""Of other operators that no standard lists, those with one of these in their names combine, look up or convert a
constant."""
STANDARD = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft.nchwc")
"""Domains of which every operator is known."""
FLOATS: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "fp64",
}
NARROW: dict[int, str] = {
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "int4",
    TensorProto.FLOAT8E4M3FN: "fp8",
    TensorProto.FLOAT8E4M3FNUZ: "fp8",
    TensorProto.FLOAT8E5M2: "fp8",
    TensorProto.FLOAT8E5M2FNUZ: "fp8",
    TensorProto.FLOAT4E2M1: "fp4",
}
"""Types that only quantised tensors have."""
SHAPING = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""Operators behind which a tensor is still the same values."""
Types = dict[str, int]
"""Element types of tensors, by name."""


def count_precisions(model: onnx.ModelProto, fuses: bool = False) -> dict[str, int]:
    """Layers that multiply matrices, by the precision that they compute in; `UNKNOWN` where the types do not show it.

    A layer computes in int8 where it takes 8-bit tensors, in int4 where its weights have 4 bits, else in the float
    that it takes. Constants, subgraphs and functions count; weights stored outside the file need not be loaded.

    Args:
        fuses: what computes on dequantised tensors on both sides, or on dequantised 4-bit weights, counts as
            quantised: graphs are written so, and an engine fuses it. Without it such a node computes in float, as it
            does where an engine has fused nothing.
    """
    return count_layers(list_layers(model, fuses))


def list_layers(model: onnx.ModelProto, fuses: bool = False) -> list[LayerPrecision]:
    """Each layer that multiplies matrices, and what it computes in; the arguments are `count_precisions`'."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    # Where it fails, types are followed from node to node alone.
    with contextlib.suppress(onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        model = onnx.shape_inference.infer_shapes(model)
    return list(_read_layers(model.graph, {}, fuses))


def names_computing(op_type: str) -> bool:
    """Whether an operator multiplies matrices, by its name."""
    return any(name in op_type for name in COMPUTING)


def is_computing(node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a node multiplies matrices: by its name, or, if no standard knows it, by the matrix among its inputs."""
    if names_computing(node.op_type):
        return True
    if node.domain in STANDARD or any(name in node.op_type for name in COMBINING):
        return False
    return any(sum(size > 1 for size in weights[name]) > 1 for name in node.input if name in weights)


def _read_layers(graph: onnx.GraphProto, outer: Types, fuses: bool) -> Iterator[LayerPrecision]:
    """Each layer of a graph and of the graphs inside its nodes."""
    types = {**outer, **_read_types(graph)}
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    sources: Types = {}
    for node in graph.node:
        for attribute in node.attribute:
            for inside in (*attribute.graphs, *((attribute.g,) if attribute.type == AttributeProto.GRAPH else ())):
                yield from _read_layers(inside, types, fuses)
        if node.op_type == "Constant":
            _read_constant(node, types, weights)
            continue
        if is_computing(node, weights):
            precision = _read_precision(node, types, sources if fuses else {})
            yield LayerPrecision(name=node.name or node.output[0], operator=node.op_type, precision=precision)
        _follow(node, types, sources)


def _read_types(graph: onnx.GraphProto) -> Types:
    values = (*graph.input, *graph.output, *graph.value_info)
    types: Types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {name: kind for name, kind in types.items() if kind != TensorProto.UNDEFINED}


def _read_constant(node: onnx.NodeProto, types: Types, weights: dict[str, tuple[int, ...]]) -> None:
    for attribute in node.attribute:
        if attribute.name == "value":
            types[node.output[0]], weights[node.output[0]] = attribute.t.data_type, tuple(attribute.t.dims)


def _read_precision(node: onnx.NodeProto, types: Types, sources: Types) -> str:
    """What one layer computes in; `sources` are the quantised types of dequantised tensors."""
    given = [types[name] for name in node.input if name in types]
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if any(kind in NARROW for kind in given):
        # Weights that are packed: their type is a byte, whatever is in it.
        packed = {"K", "N"} <= attributes.keys()
        bits = attributes.get("bits")
        return (f"int{bits}" if bits else UNKNOWN) if packed else min(NARROW[kind] for kind in given if kind in NARROW)
    taken = [NARROW[sources[name]] for name in node.input[:2] if name in sources]
    if len(taken) == 2 or "int4" in taken:
        return min(taken)
    return next((FLOATS[kind] for kind in given if kind in FLOATS), UNKNOWN)


def _follow(node: onnx.NodeProto, types: Types, sources: Types) -> None:
    """Note what a node gives: the type of its first output, and what a dequantised tensor was."""
    first, output = (node.input[0] if node.input else ""), node.output[0]
    if node.op_type == "DequantizeLinear" and types.get(first) in NARROW:
        sources[output] = types[first]
    elif node.op_type in SHAPING and first in sources:
        sources[output] = sources[first]
    kind = _infer_type(node, types)
    if kind is not None:
        types.setdefault(output, kind)


def _infer_type(node: onnx.NodeProto, types: Types) -> int | None:
    """The type of a node's first output; None where it is not known.

    Standard operators are typed already, unless they follow one that is not: those give what they take.
    """
    kinds = [types.get(name) for name in node.input]
    if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear"):
        output_type = next((attribute.i for attribute in node.attribute if attribute.name == "output_dtype"), 0)
        return (kinds[2] if len(kinds) > 2 else None) or output_type or TensorProto.UINT8
    if node.op_type == "DequantizeLinear":
        return kinds[1]
    if node.op_type == "Cast":
        return next(attribute.i for attribute in node.attribute if attribute.name == "to")
    if node.op_type in ("MatMulInteger", "ConvInteger"):
        return TensorProto.INT32
    quantised = bool(kinds) and kinds[0] in NARROW
    # QLinearConv gives what it takes; another that takes bytes may give floats.
    return kinds[0] if kinds and (not quantised or node.op_type.startswith("QLinear")) else None
