"""The preprocessing tail as the first nodes of a graph: uint8 pixels in, what the network wants out."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seatrial.export.graph import read_facts
from seatrial.recipes.schema import Recipe

PREFIX = "preprocess_"


def fuse_preprocess(model: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """A graph whose input of the same name is uint8 (n, height, width, 3) RGB.

    Computes (pixel − 255·mean) · 1/(255·std) in float32, the form of Ascend's AIPP (min_chn, var_reci_chn); it differs
    from (pixel/255 − mean)/std by at most 5e-7.
    """
    fused: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    graph = fused.graph
    facts = read_facts(fused)
    name, inner = facts.input.name, PREFIX + "output"
    mean, std = (np.asarray(values, dtype=np.float64) * 255 for values in recipe.normalisation)
    weights = [_channels(PREFIX + "mean", mean), _channels(PREFIX + "scale", 1 / std)]
    nodes = [
        helper.make_node("Cast", [name], [PREFIX + "float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", [PREFIX + "float"], [PREFIX + "nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", [PREFIX + "nchw", PREFIX + "mean"], [PREFIX + "centred"]),
        helper.make_node("Mul", [PREFIX + "centred", PREFIX + "scale"], [inner]),
    ]
    for node in nodes:
        node.name = node.output[0]
    prepend(graph, name, inner, nodes, weights)
    replace_input(graph, name, [*facts.input.shape[2:], 3])
    onnx.checker.check_model(fused)
    return fused


def _channels(name: str, values: NDArray[np.float64]) -> TensorProto:
    return numpy_helper.from_array(values.astype(np.float32).reshape(1, 3, 1, 1), name)


def prepend(
    graph: onnx.GraphProto, name: str, inner: str, nodes: Sequence[onnx.NodeProto], weights: Sequence[TensorProto]
) -> None:
    """Put `nodes`, which compute `inner` from the input `name`, in front of a graph."""
    for node in graph.node:
        node.input[:] = [inner if value == name else value for value in node.input]
    # ONNX lists nodes in the order in which they run.
    ordered = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(ordered)
    graph.initializer.extend(weights)


def replace_input(graph: onnx.GraphProto, name: str, shape: Sequence[int | None]) -> onnx.ValueInfoProto:
    """Make the input `name` uint8 of this shape behind its batch axis, and return it."""
    value = next(v for v in graph.input if v.name == name)
    batch = value.type.tensor_type.shape.dim[0]
    sizes = [batch.dim_value or batch.dim_param, *shape]
    value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.UINT8, sizes))
    return value
