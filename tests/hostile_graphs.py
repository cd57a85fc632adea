"""ONNX files that no exporter writes: they ask for more time or memory than there is, or keep to no rule."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 8
CLASSES = 3


def write_hostile(path: Path, kind: str) -> Path:
    """A classifier of colour images of 8 × 8 pixels (free batch, 3 classes) with the fault that `kind` names."""
    graph = helper.make_graph(
        [],
        "hostile",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(np.arange(9, dtype=np.float32).reshape(3, CLASSES) - 4, "weights")],
    )
    KINDS[kind](graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _constant(graph: onnx.GraphProto, name: str, value: Any, dtype: Any = np.int64) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
    return name


def _add(graph: onnx.GraphProto, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
    graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
    return output


def _classify(graph: onnx.GraphProto, offset: str | None = None, name: str = "scores") -> None:
    """Means of the channels times weights, and `offset`, a number, added."""
    _add(graph, "ReduceMean", ["pixels"], "means", axes=[2, 3], keepdims=0)
    _add(graph, "MatMul", ["means", "weights"], name if offset is None else "plain")
    if offset is not None:
        _add(graph, "Add", ["plain", offset], name)


def _mean(graph: onnx.GraphProto, name: str) -> None:
    """Classify with the mean of a tensor as the offset."""
    _add(graph, "ReduceMean", [name], "offset", keepdims=0)
    _classify(graph, "offset")


def _range(graph: onnx.GraphProto) -> None:
    ends = [_constant(graph, name, value, np.float32) for name, value in (("a", 0), ("b", 3e9), ("c", 1))]
    _mean(graph, _add(graph, "Range", ends, "huge"))


def _fill(graph: onnx.GraphProto) -> None:
    _mean(graph, _add(graph, "ConstantOfShape", [_constant(graph, "shape", [1 << 36])], "huge"))


def _expand(graph: onnx.GraphProto) -> None:
    one = _constant(graph, "one", [1], np.float32)
    _mean(graph, _add(graph, "Expand", [one, _constant(graph, "shape", [1 << 36])], "huge"))


def _tile(graph: onnx.GraphProto) -> None:
    one = _constant(graph, "one", [1], np.float32)
    _mean(graph, _add(graph, "Tile", [one, _constant(graph, "times", [1 << 36])], "huge"))


def _pad(graph: onnx.GraphProto) -> None:
    _mean(graph, _add(graph, "Pad", ["pixels", _constant(graph, "pads", [0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20])], "huge"))


def _resize(graph: onnx.GraphProto) -> None:
    scales = _constant(graph, "scales", [1, 1, 1 << 17, 1 << 17], np.float32)
    _mean(graph, _add(graph, "Resize", ["pixels", "", scales], "huge", mode="nearest"))


def _loop(graph: onnx.GraphProto) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "tiny"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, []),
        ],
    )
    _constant(graph, "tiny", 1e-30, np.float32)
    inputs = [_constant(graph, "trips", 1 << 40), _constant(graph, "true", True, np.bool_)]
    _add(graph, "Loop", [*inputs, _constant(graph, "zero", 0, np.float32)], "offset", body=body)
    _classify(graph, "offset")


def _chain(graph: onnx.GraphProto) -> None:
    _classify(graph, name="link0")
    for link in range(50_000):
        _add(graph, "Relu" if link % 2 else "Neg", [f"link{link}"], f"link{link + 1}")
    _add(graph, "Identity", ["link50000"], "scores")


def _unknown_type(graph: onnx.GraphProto) -> None:
    _classify(graph)
    graph.initializer[0].data_type = 99


def _unknown_input_type(graph: onnx.GraphProto) -> None:
    _classify(graph)
    graph.input[0].type.tensor_type.elem_type = 99


def _negative_shape(graph: onnx.GraphProto) -> None:
    _classify(graph)
    graph.initializer[0].dims[0] = -3


def _negative_input(graph: onnx.GraphProto) -> None:
    _classify(graph)
    graph.input[0].type.tensor_type.shape.dim[2].dim_value = -8


def _fewer_rows(graph: onnx.GraphProto) -> None:
    _classify(graph, name="all")
    ends = [_constant(graph, "from", [0]), _constant(graph, "to", [1])]
    _add(graph, "Slice", ["all", *ends], "scores")


def _not_a_number(graph: onnx.GraphProto) -> None:
    _classify(graph, _constant(graph, "nan", np.nan, np.float32))


def _random(graph: onnx.GraphProto) -> None:
    _add(graph, "RandomNormal", [], "noise", shape=[1, CLASSES], scale=10.0)
    _classify(graph, "noise")


def _unknown_operator(graph: onnx.GraphProto) -> None:
    _classify(graph, name="plain")
    _add(graph, "Classify", ["plain"], "scores")


def _circle(graph: onnx.GraphProto) -> None:
    _add(graph, "Add", ["other", "weights"], "one")
    _add(graph, "Add", ["one", "weights"], "other")
    _classify(graph)


KINDS: Mapping[str, Callable[[onnx.GraphProto], None]] = {
    "range": _range,
    "fill": _fill,
    "expand": _expand,
    "tile": _tile,
    "pad": _pad,
    "resize": _resize,
    "loop": _loop,
    "chain": _chain,
    "unknown type": _unknown_type,
    "unknown input type": _unknown_input_type,
    "negative shape": _negative_shape,
    "negative input": _negative_input,
    "fewer rows": _fewer_rows,
    "not a number": _not_a_number,
    "random": _random,
    "unknown operator": _unknown_operator,
    "circle": _circle,
}
