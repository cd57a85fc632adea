"""The preprocessing tail as the first nodes of a graph: uint8 pixels in, what the network wants out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seatrial.models.onnx_file import read_facts
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import Size

PREFIX = "preprocess_"


def fuse_preprocess(model: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """A graph whose input of the same name is uint8 (n, height, width, channels).

    Computes (pixel − 255·mean) · 1/(255·std) in float32, the form of Ascend's AIPP (min_chn, var_reci_chn); it differs
    from (pixel/255 − mean)/std by at most 5e-7.
    """
    tail = Tail(model, PREFIX)
    mean, std = (np.asarray(values, dtype=np.float64) * 255 for values in recipe.normalisation)
    tail.add("Cast", "float", to=TensorProto.FLOAT)
    tail.add("Transpose", "nchw", perm=[0, 3, 1, 2])
    tail.add("Sub", "centred", tail.constant("mean", per_channel(mean), np.float32))
    tail.add("Mul", "output", tail.constant("scale", per_channel(1 / std), np.float32))
    tail.prepend([*tail.facts.input.shape[2:], len(mean)])
    onnx.checker.check_model(tail.model)
    return tail.model


def per_channel(values: NDArray[Any]) -> NDArray[Any]:
    """Values (channels,) as (1, channels, 1, 1)."""
    return values.reshape(1, -1, 1, 1)


class Tail:
    """Nodes in a row, each of which takes what the one before it gives, to be put in front of a copy of a graph."""

    def __init__(self, model: onnx.ModelProto, prefix: str) -> None:
        self.model: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
        self.facts = read_facts(model)
        self.source = self.value = self.facts.input.name
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []

    def add(self, op: str, name: str, *others: str, **attributes: Any) -> str:
        """Append a node; `others` are its further inputs."""
        self.value = self.join(op, name, self.value, *others, **attributes)
        return self.value

    def join(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node beside the row."""
        output = self._prefix + name
        self._nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Any, dtype: type[np.generic] = np.int64) -> str:
        """Add a weight."""
        self._weights.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), self._prefix + name))
        return self._prefix + name

    def slice(self, name: str, value: str, start: Size, size: Size) -> str:
        """Cut a window out of `value` (n, rows, columns, channels)."""
        end = start[0] + size[0], start[1] + size[1]
        limits = [self.constant(f"{name}_{what}", v) for what, v in (("from", start), ("to", end), ("axes", (1, 2)))]
        return self.join("Slice", name, value, *limits)

    def prepend(self, shape: Sequence[int | None]) -> onnx.ValueInfoProto:
        """Put the nodes in front of the graph; returns its input, made uint8 of this shape behind its batch axis."""
        graph = self.model.graph
        for node in graph.node:
            node.input[:] = [self.value if name == self.source else name for name in node.input]
        # ONNX lists nodes in the order in which they run.
        ordered = [*self._nodes, *graph.node]
        del graph.node[:]
        graph.node.extend(ordered)
        graph.initializer.extend(self._weights)
        value = next(value for value in graph.input if value.name == self.source)
        batch = value.type.tensor_type.shape.dim[0]
        sizes = [batch.dim_value or batch.dim_param, *shape]
        value.CopyFrom(helper.make_tensor_value_info(self.source, TensorProto.UINT8, sizes))
        return value
