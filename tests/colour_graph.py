"""A real ONNX graph that computes `fake_engine.answer`, in fp32, fp16 or as an int8 Q/DQ graph."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fake_engine import CLASSES, WEIGHTS, make_graph
from seatrial.store.records import GraphManifest


def make_colour_graph(folder: Path, precision: str = "fp32", batch_size: int | None = None) -> Path:
    """Write `model.onnx` and its manifest; whole numbers all the way, so exact but for fp16's rounding."""
    folder.mkdir(parents=True, exist_ok=True)
    half = precision == "fp16"
    weights = WEIGHTS.T.reshape(CLASSES, 3, 1, 1)
    constants = {"axes": np.array([2, 3], np.int64), "weights": weights.astype(np.float16 if half else np.float32)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT16 if half else TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
    ]
    if precision == "int8":
        constants |= {"weights": weights.astype(np.int8), "one": np.float32(1), "zero": np.uint8(0), "none": np.int8(0)}
        nodes += [
            helper.make_node("QuantizeLinear", ["nchw", "one", "zero"], ["quantised"]),
            helper.make_node("DequantizeLinear", ["quantised", "one", "zero"], ["pixels"]),
            helper.make_node("DequantizeLinear", ["weights", "one", "none"], ["kernel"]),
            helper.make_node("Conv", ["pixels", "kernel"], ["maps"], name="conv"),
        ]
    else:
        nodes.append(helper.make_node("Conv", ["nchw", "weights"], ["maps"], name="conv"))
    nodes.append(helper.make_node("Cast", ["maps"], ["wide"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("ReduceSum", ["wide", "axes"], ["class"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch_size or "n", 4, 6, 3])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, [batch_size or "n", CLASSES])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path = make_graph(folder, model.SerializeToString(), batch_size)
    manifest = GraphManifest.load(folder / "model.onnx.json")
    manifest.model_copy(update={"precision": precision}).save(folder / "model.onnx.json")
    return path
