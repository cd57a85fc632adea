"""A Q/DQ graph to one whose layers onnxruntime runs in int8, and not quietly in float.

It runs no layer in int8 whose activation has a scale for each channel, as NNCF gives it in front of a depthwise
convolution. There the scales can move into those of the weights: of the convolution before, whose output channels they
divide (a Relu between lets any positive factor through), and of the depthwise one, whose input channels they multiply.
All integers stay what they are, but for values that lie halfway between two steps.

Nor does it run one in int8 where what it takes and what it gives have other types: then all of them become uint8, to
the bit the same values.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

SHIFT = 128
"""What uint8 counts from where int8 counts from 0: (q + 128) − (z + 128) is q − z."""


def to_one_scale(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with one scale for each activation wherever that changes nothing. `model` is changed and returned."""
    graph = _Graph(model)
    for before, quantize, dequantize, depthwise in list(graph.find_scaled()):
        scales = graph.read(quantize, 1).astype(np.float64)
        # Any would do; this one keeps the weights' scales in the range that they had.
        scale = np.exp(np.log(scales).mean())
        for conv, factors in ((before, scale / scales), (depthwise, scales / scale)):
            weights = graph.made[conv.input[1]]
            graph.write(weights, 1, graph.read(weights, 1) * factors)
        if len(before.input) > 2:
            graph.write(before, 2, graph.read(before, 2) * (scale / scales))
        for node in (quantize, dequantize):
            graph.write(node, 1, scale)
            graph.write(node, 2, graph.read(node, 2).flat[0])
    return model


def to_unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every quantised activation as uint8; weights stay int8. `model` is changed and returned."""
    graph = _Graph(model)
    shifted: dict[str, TensorProto] = {}
    for node in model.graph.node:
        # A constant is a weight, and what leaves the graph is known as int8 outside.
        if node.op_type != "QuantizeLinear" or node.input[0] in graph.constants:
            continue
        takers = graph.takers.get(node.output[0], [])
        pair = [node, *takers]
        if not all(map(graph.is_signed, pair)) or any(taker.op_type != "DequantizeLinear" for taker in takers):
            continue
        for attribute in node.attribute:
            if attribute.name == "output_dtype" and attribute.i == TensorProto.INT8:
                attribute.i = TensorProto.UINT8
        for part in pair:
            name = f"{part.input[2]}/unsigned"
            zeros = graph.read(part, 2).astype(np.int16) + SHIFT
            shifted[name] = numpy_helper.from_array(zeros.astype(np.uint8), name)
            part.input[2] = name
    model.graph.initializer.extend(shifted.values())
    # Types were inferred for int8.
    del model.graph.value_info[:]
    return model


class _Graph:
    """A graph with its nodes by what they give and take."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {weight.name: weight for weight in model.graph.initializer}
        self._graph = model.graph
        self.made = {name: node for node in model.graph.node for name in node.output}
        self.takers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)
        for value in model.graph.output:
            # Whoever runs the graph takes it.
            self.takers.setdefault(value.name, []).append(NodeProto())

    def read(self, node: NodeProto, index: int) -> NDArray[Any]:
        """The constant that is an input of a node."""
        values: NDArray[Any] = numpy_helper.to_array(self.constants[node.input[index]])
        return values

    def write(self, node: NodeProto, index: int, values: Any) -> None:
        """Give a node a constant of its own, of the type of the one that it had."""
        kind = self.read(node, index).dtype
        # A convolution between two such activations gets other scales twice.
        name = f"{node.output[0]}/{index}/one_scale{len(self._graph.initializer)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(values, dtype=kind), name)
        self._graph.initializer.append(self.constants[name])
        node.input[index] = name

    def find_scaled(self) -> Iterator[tuple[NodeProto, NodeProto, NodeProto, NodeProto]]:
        """The activations with a scale for each channel that lie between two convolutions and go nowhere else.

        Each as the convolution before, the two nodes that quantise and dequantise it, and the depthwise convolution.
        """
        for quantize in self._graph.node:
            if quantize.op_type != "QuantizeLinear" or not self._has_scales(quantize) or _read_axis(quantize) != 1:
                continue
            before = self.made.get(quantize.input[0])
            if before is not None and before.op_type == "Relu":
                before = self.made.get(before.input[0])
            dequantize = self._find_taker(quantize, "DequantizeLinear")
            depthwise = self._find_taker(dequantize, "Conv")
            if before is None or dequantize is None or depthwise is None or not self._undoes(dequantize, quantize):
                continue
            alone = all(len(self.takers[name]) == 1 for name in (*before.output, quantize.input[0]))
            channels = self.read(quantize, 1).size
            groups = next((attribute.i for attribute in depthwise.attribute if attribute.name == "group"), 1)
            if alone and groups == channels and all(self._can_scale(conv, channels) for conv in (before, depthwise)):
                yield before, quantize, dequantize, depthwise

    def is_signed(self, node: NodeProto) -> bool:
        """Whether a node quantises to int8, or from it, with a zero point that is a constant."""
        zero = self.constants.get(node.input[2]) if len(node.input) > 2 else None
        return zero is not None and zero.data_type == TensorProto.INT8

    def _has_scales(self, node: NodeProto) -> bool:
        """Whether a node has a constant scale for each channel, and one zero point for all."""
        if len(node.input) < 3 or not self.constants.keys() >= {*node.input[1:3]}:
            return False
        return self.read(node, 1).size > 1 and len(np.unique(self.read(node, 2))) == 1

    def _undoes(self, dequantize: NodeProto, quantize: NodeProto) -> bool:
        """Whether a node gives back what another quantised: same scales, zero point and axis."""
        if not self._has_scales(dequantize) or _read_axis(dequantize) != _read_axis(quantize):
            return False
        return all(np.array_equal(self.read(dequantize, i), self.read(quantize, i)) for i in (1, 2))

    def _find_taker(self, node: NodeProto | None, op_type: str) -> NodeProto | None:
        """The one node that takes what another gives, if it is of that kind."""
        takers = [] if node is None else self.takers.get(node.output[0], [])
        return takers[0] if len(takers) == 1 and takers[0].op_type == op_type else None

    def _can_scale(self, conv: NodeProto, channels: int) -> bool:
        """Whether a convolution's weights have a scale for each output channel, and its bias is a constant."""
        source = self.made.get(conv.input[1]) if conv.op_type == "Conv" else None
        if source is None or source.op_type != "DequantizeLinear" or source.input[1] not in self.constants:
            return False
        shared = len(self.takers[source.output[0]]) > 1
        fixed = len(conv.input) < 3 or conv.input[2] in self.constants
        return not shared and fixed and _read_axis(source) == 0 and self.read(source, 1).size == channels


def _read_axis(node: NodeProto) -> int:
    """The axis that a node's scales belong to; 1 where it names none. Negative ones, which nobody writes, stay so."""
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
