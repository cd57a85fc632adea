"""The preprocessing tail as the first nodes of a graph: uint8 pixels in, what the network wants out."""

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
    for node in graph.node:
        node.input[:] = [inner if value == name else value for value in node.input]
    mean, std = (np.asarray(values, dtype=np.float64) * 255 for values in recipe.normalisation)
    graph.initializer.extend([_channels(PREFIX + "mean", mean), _channels(PREFIX + "scale", 1 / std)])
    nodes = [
        helper.make_node("Cast", [name], [PREFIX + "float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", [PREFIX + "float"], [PREFIX + "nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", [PREFIX + "nchw", PREFIX + "mean"], [PREFIX + "centred"]),
        helper.make_node("Mul", [PREFIX + "centred", PREFIX + "scale"], [inner]),
    ]
    for node in nodes:
        node.name = node.output[0]
    graph.node.extend(nodes)
    # ONNX lists nodes in the order in which they run.
    ordered = [*nodes, *list(graph.node)[: -len(nodes)]]
    del graph.node[:]
    graph.node.extend(ordered)
    _replace_input(graph, name)
    onnx.checker.check_model(fused)
    return fused


def _channels(name: str, values: NDArray[np.float64]) -> TensorProto:
    return numpy_helper.from_array(values.astype(np.float32).reshape(1, 3, 1, 1), name)


def _replace_input(graph: onnx.GraphProto, name: str) -> None:
    value = next(v for v in graph.input if v.name == name)
    batch, _, height, width = value.type.tensor_type.shape.dim
    sizes = [batch.dim_value or batch.dim_param, height.dim_value, width.dim_value, 3]
    value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.UINT8, sizes))
