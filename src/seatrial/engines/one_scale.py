"""A Q/DQ graph whose activations have a scale for each channel in places, to one with one scale each.

onnxruntime runs no layer in int8 whose activation has a scale for each channel, as NNCF gives it in front of a
depthwise convolution. There the scales can move into those of the weights: of the convolution before, whose output
channels they divide (a Relu between lets any positive factor through), and of the depthwise one, whose input channels
they multiply. All integers stay what they are, but for values that lie halfway between two steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


@dataclass(frozen=True, slots=True)
class _ScaledActivation:
    """An activation with a scale for each channel, between the two convolutions whose weights can take it."""

    before: onnx.NodeProto
    quantize: onnx.NodeProto
    dequantize: onnx.NodeProto
    depthwise: onnx.NodeProto


def to_one_scale(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with one scale for each activation wherever that changes nothing. `model` is changed and returned."""
    graph = _Graph(model)
    for place in list(graph.find_places()):
        scales = graph.read(place.quantize, 1).astype(np.float64)
        # Any would do; this one keeps the weights' scales in the range that they had.
        scale = np.exp(np.log(scales).mean())
        before, depthwise = (graph.made[conv.input[1]] for conv in (place.before, place.depthwise))
        graph.write(before, 1, graph.read(before, 1) * (scale / scales))
        graph.write(depthwise, 1, graph.read(depthwise, 1) * (scales / scale))
        if len(place.before.input) > 2:
            graph.write(place.before, 2, graph.read(place.before, 2) * (scale / scales))
        for node in (place.quantize, place.dequantize):
            graph.write(node, 1, scale)
            graph.write(node, 2, graph.read(node, 2).flat[0])
    return model


class _Graph:
    """A graph with its nodes by what they give and take."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._constants = {weight.name: weight for weight in model.graph.initializer}
        self._graph = model.graph
        self.made = {name: node for node in model.graph.node for name in node.output}
        self._takers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._takers.setdefault(name, []).append(node)
        for value in model.graph.output:
            # Whoever runs the graph takes it.
            self._takers.setdefault(value.name, []).append(onnx.NodeProto())

    def read(self, node: onnx.NodeProto, index: int) -> NDArray[Any]:
        """The constant that is an input of a node."""
        values: NDArray[Any] = numpy_helper.to_array(self._constants[node.input[index]])
        return values

    def write(self, node: onnx.NodeProto, index: int, values: Any) -> None:
        """Give a node a constant of its own, of the type of the one that it had."""
        kind = self.read(node, index).dtype
        # A convolution between two such activations gets other scales twice.
        name = f"{node.output[0]}/{index}/one_scale{len(self._graph.initializer)}"
        self._constants[name] = numpy_helper.from_array(np.asarray(values, dtype=kind), name)
        self._graph.initializer.append(self._constants[name])
        node.input[index] = name

    def find_places(self) -> Iterator[_ScaledActivation]:
        """The activations that lie between two such convolutions and go nowhere else."""
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
            alone = all(len(self._takers[name]) == 1 for name in (*before.output, quantize.input[0]))
            channels = self.read(quantize, 1).size
            groups = next((attribute.i for attribute in depthwise.attribute if attribute.name == "group"), 1)
            if alone and groups == channels and all(self._can_scale(conv, channels) for conv in (before, depthwise)):
                yield _ScaledActivation(before, quantize, dequantize, depthwise)

    def _has_scales(self, node: onnx.NodeProto) -> bool:
        """Whether a node has a constant scale for each channel, and one zero point for all."""
        if len(node.input) < 3 or not self._constants.keys() >= {*node.input[1:3]}:
            return False
        return self.read(node, 1).size > 1 and len(np.unique(self.read(node, 2))) == 1

    def _undoes(self, dequantize: onnx.NodeProto, quantize: onnx.NodeProto) -> bool:
        """Whether a node gives back what another quantised: same scales, zero point and axis."""
        if not self._has_scales(dequantize) or _read_axis(dequantize) != _read_axis(quantize):
            return False
        return all(np.array_equal(self.read(dequantize, i), self.read(quantize, i)) for i in (1, 2))

    def _find_taker(self, node: onnx.NodeProto | None, op_type: str) -> onnx.NodeProto | None:
        """The one node that takes what another gives, if it is of that kind."""
        takers = [] if node is None else self._takers.get(node.output[0], [])
        return takers[0] if len(takers) == 1 and takers[0].op_type == op_type else None

    def _can_scale(self, conv: onnx.NodeProto, channels: int) -> bool:
        """Whether a convolution's weights have a scale for each output channel, and its bias is a constant."""
        source = self.made.get(conv.input[1]) if conv.op_type == "Conv" else None
        if source is None or source.op_type != "DequantizeLinear" or source.input[1] not in self._constants:
            return False
        shared = len(self._takers[source.output[0]]) > 1
        fixed = len(conv.input) < 3 or conv.input[2] in self._constants
        return not shared and fixed and _read_axis(source) == 0 and self.read(source, 1).size == channels


def _read_axis(node: onnx.NodeProto) -> int:
    """The axis that a node's scales belong to; 1 where it names none. Negative ones, which nobody writes, stay so."""
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
