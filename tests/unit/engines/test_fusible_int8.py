"""What onnxruntime needs of a Q/DQ graph to run it in int8; scales are powers of two here, so that all is exact."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.engines.node_types import count_precisions
from seatrial.engines.one_scale import to_one_scale
from seatrial.engines.unsigned import to_unsigned
from seatrial.export.graph import open_graph

CHANNELS = 16
IMAGES = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)
SCALES = (2.0 ** np.tile([-3, -5], CHANNELS // 2)).astype(np.float32)


def make_network(groups: int = CHANNELS, second_taker: bool = False, zero: Any = None) -> onnx.ModelProto:
    """A convolution, Relu, an activation with a scale for each channel, a depthwise convolution with a bias."""
    rng = np.random.default_rng(0)
    first, second = (CHANNELS, 3, 1, 1), (CHANNELS, CHANNELS // groups, 3, 3)
    values: dict[str, Any] = {
        "s": np.float32(2**-5),
        "z": np.int8(0),
        "scales": SCALES,
        "zeros": np.zeros(CHANNELS, np.uint8) if zero is None else zero,
        "k1": rng.integers(-127, 128, first).astype(np.int8),
        "k2": rng.integers(-127, 128, second).astype(np.int8),
        "ks": np.full(CHANNELS, 2**-7, np.float32),
        "kz": np.zeros(CHANNELS, np.int8),
        "b": rng.integers(-8, 8, CHANNELS).astype(np.float32) / 8,
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "s", "z"], ["q0"]),
        helper.make_node("DequantizeLinear", ["q0", "s", "z"], ["a0"]),
        helper.make_node("DequantizeLinear", ["k1", "ks", "kz"], ["w1"], axis=0),
        helper.make_node("Conv", ["a0", "w1", "b"], ["c1"]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("QuantizeLinear", ["r1", "scales", "zeros"], ["q1"], axis=1),
        helper.make_node("DequantizeLinear", ["q1", "scales", "zeros"], ["a1"], axis=1),
        helper.make_node("DequantizeLinear", ["k2", "ks", "kz"], ["w2"], axis=0),
        helper.make_node("Conv", ["a1", "w2", "b"], ["c2"], group=groups),
        helper.make_node("QuantizeLinear", ["c2", "s", "z"], ["q2"]),
        helper.make_node("DequantizeLinear", ["q2", "s", "z"], ["a2"]),
        helper.make_node("GlobalAveragePool", ["a2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["class"]),
    ]
    if second_taker:
        nodes.insert(5, helper.make_node("Neg", ["c1"], ["unused"]))
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8]),
        helper.make_tensor_value_info("class", TensorProto.FLOAT, ["n", CHANNELS]),
    ]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in values.items()]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run_raw(model: onnx.ModelProto) -> np.ndarray:
    """Logits of the graph as it stands, nothing fused."""
    return open_graph(model)(IMAGES)


def count_executed(model: onnx.ModelProto, folder: Path) -> dict[str, int]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return count_precisions(onnx.load(options.optimized_model_filepath))


def list_activations(model: onnx.ModelProto) -> list[np.ndarray]:
    """The zero points and scales of all activations."""
    values = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    return [values[name] for node in model.graph.node if node.op_type == "QuantizeLinear" for name in node.input[1:3]]


def test_both_together_make_onnxruntime_run_it_in_int8(tmp_path: Path) -> None:
    assert count_executed(make_network(), tmp_path) == {"fp32": 2}
    made = to_unsigned(to_one_scale(make_network()))
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_array_equal(run_raw(made), run_raw(make_network()))
    assert count_executed(made, tmp_path) == {"int8": 2}


def test_scales_move_into_the_weights_and_no_value_changes() -> None:
    made = to_one_scale(make_network())
    assert all(values.size == 1 for values in list_activations(made))
    assert float(list_activations(made)[2]) == 2**-4, "the geometric mean of the two"
    np.testing.assert_array_equal(run_raw(made), run_raw(make_network()))


@pytest.mark.parametrize(
    "changes",
    [{"groups": 1}, {"second_taker": True}, {"zero": np.arange(CHANNELS, dtype=np.uint8)}],
    ids=["not depthwise", "seen by another", "zero points that differ"],
)
def test_scales_stay_where_moving_them_would_change_something(changes: dict[str, Any]) -> None:
    made = to_one_scale(make_network(**changes))
    assert made == make_network(**changes)
    np.testing.assert_array_equal(run_raw(to_unsigned(made)), run_raw(make_network(**changes)))


def test_all_activations_become_unsigned_and_weights_stay(tmp_path: Path) -> None:
    made = to_unsigned(make_network())
    zeros = list_activations(made)[1::2]
    assert [zero.dtype for zero in zeros] == [np.uint8] * 3 and [int(zero.flat[0]) for zero in zeros] == [128, 0, 128]
    assert {w.name: w.data_type for w in made.graph.initializer}["k1"] == TensorProto.INT8
    np.testing.assert_array_equal(run_raw(made), run_raw(make_network()))
    assert to_unsigned(onnx.ModelProto.FromString(made.SerializeToString())) == made, "a second time changes nothing"
