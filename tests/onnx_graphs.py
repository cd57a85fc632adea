"""Small ONNX files as other tools write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_linear(
    path: Path,
    seed: int = 0,
    outside: str | None = None,
    outputs: tuple[str, ...] = ("scores",),
    classes: int = 3,
    shape: Sequence[int | str] = ("batch", 3, "height", "width"),
    first: Sequence[tuple[str, Sequence[float]]] = (),
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Means of the channels times weights drawn with `seed`, which are in a file of the name `outside` if given.

    Args:
        first: operators with their constants, of one number or three, that the pixels go through before all else.
    """
    channels = shape[1] if isinstance(shape[1], int) else 3
    weights = np.random.default_rng(seed).standard_normal((channels, classes)).astype(np.float32)
    nodes, constants, name = [], [numpy_helper.from_array(weights, "weights")], "pixels"
    for index, (operator, values) in enumerate(first):
        given = np.array(values, dtype=np.float32).reshape(1, -1, 1, 1)
        constants.append(numpy_helper.from_array(given, f"constant{index}"))
        nodes.append(helper.make_node(operator, [name, f"constant{index}"], [f"first{index}"]))
        name = f"first{index}"
    nodes.append(helper.make_node("ReduceMean", [name], ["means"], axes=[2, 3], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["means", "weights"], ["scores"]))
    sizes = {"means": channels, "scores": classes}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, [shape[0], sizes[each]]) for each in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    if outside is None:
        onnx.save(model, path)
    else:
        (path.parent / outside).unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location=outside, size_threshold=0)
    return path
