"""How large a graph is and what it computes: numbers in its weights, multiply-accumulates for one image."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto

from seatrial.engines.node_types import FLOATS, NARROW, is_computing
from seatrial.export.derived_graph import is_preprocessing
from seatrial.models.onnx_shapes import Shapes, copy_without_weights, infer_shapes
from seatrial.store.records import TensorSpec

WEIGHT_AT: Mapping[str, int] = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger"), 1),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), 3),
}
"""The operators that are counted, and which of their inputs is the second factor."""


@dataclass(frozen=True, slots=True)
class GraphWork:
    """What was counted of a graph."""

    parameters: int
    """Numbers in its weights: constants of floats, or quantised ones, of more than one number."""
    macs: int | None
    """Multiply-accumulates for one image; None where a shape is unknown, or an operator is not one of `WEIGHT_AT`."""
    source: str
    """How both were counted, in words."""

    @property
    def fields(self) -> dict[str, Any]:
        """Its fields of `GraphManifest`."""
        return {"parameters": self.parameters, "macs": self.macs, "counted": self.source}


def count_work(model: onnx.ModelProto, image: TensorSpec) -> GraphWork:
    """Count a graph's weights and multiply-accumulates; what was fused into it of the preprocessing is left out.

    Args:
        image: its input, with the sizes that images have; a free batch is counted as one image.
    """
    light = copy_without_weights(model)
    nodes = [node for node in light.graph.node if not is_preprocessing(node)]
    used = {name for node in nodes for name in node.input}
    weights = [tensor for tensor in _list_weights(light.graph, nodes) if tensor.name in used]
    parameters = sum(math.prod(tensor.dims) for tensor in weights)
    batch = image.shape[0] or 1
    constants = {tensor.name: tuple(tensor.dims) for tensor in light.graph.initializer}
    shapes = infer_shapes(light, (batch, *image.shape[1:]))
    reached = _find_reached(light.graph)
    # What is computed of weights alone is computed once, and not for each image.
    macs = _count_macs([node for node in nodes if not reached.isdisjoint(node.output)], constants, shapes)
    size = "×".join(map(str, image.shape[1:]))
    words = f"of the ONNX graph: its weight initialisers; its Conv, ConvTranspose, Gemm and MatMul nodes at {size}"
    return GraphWork(parameters, None if macs is None or macs % batch else macs // batch, words)


def _list_weights(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> Iterator[TensorProto]:
    """Constants of more than one number that are floats or quantised, but for scales and zero points."""
    scales = {name for node in nodes if "quantizelinear" in node.op_type.lower() for name in node.input[1:]}
    constants = [*graph.initializer]
    for node in nodes:
        if node.op_type == "Constant":
            found = (attribute.t for attribute in node.attribute if attribute.name == "value")
            constants += (TensorProto(name=node.output[0], data_type=t.data_type, dims=t.dims) for t in found)
    for tensor in constants:
        if tensor.name not in scales and tensor.data_type in {**FLOATS, **NARROW} and math.prod(tensor.dims) > 1:
            yield tensor


def _find_reached(graph: onnx.GraphProto) -> set[str]:
    """The tensors that depend on the image, or may, as those of nodes with a graph inside, of unknown inputs."""
    reached = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if _has_graph(node) or not reached.isdisjoint(node.input):
            reached.update(filter(None, node.output))
    return reached


def _has_graph(node: onnx.NodeProto) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _count_macs(nodes: Sequence[onnx.NodeProto], constants: Shapes, shapes: Shapes) -> int | None:
    total = 0
    for node in nodes:
        inside = _has_graph(node)
        if not inside and not is_computing(node, constants):
            continue
        if inside or node.op_type not in WEIGHT_AT:
            return None
        first, factor, output = node.input[0], node.input[WEIGHT_AT[node.op_type]], node.output[0]
        if not {first, factor, output} <= shapes.keys():
            return None
        total += _count_node(node, shapes[first], shapes[factor], shapes[output])
    return total


def _count_node(node: onnx.NodeProto, first: tuple[int, ...], factor: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Multiply-accumulates of one node: of each output the products that it sums; of a transposed convolution those
    that each of its inputs is in."""
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(factor[1:])
    if "Conv" in node.op_type:
        return math.prod(output) * math.prod(factor[1:])
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(output) * first[0 if transposed else -1]
