"""What onnxruntime needs of a Q/DQ graph to run it in int8; scales are powers of two here, so that all is exact."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.engines.fusible_int8 import to_one_scale, to_unsigned
from seatrial.engines.node_types import count_precisions
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


def change(op_type: str, number: int, **attributes: int) -> onnx.ModelProto:
    """The network with other attributes of one of its nodes of a kind."""
    model = make_network()
    node = [node for node in model.graph.node if node.op_type == op_type][number]
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return model


def take_zero_away() -> onnx.ModelProto:
    model = make_network()
    del next(node for node in model.graph.node if node.input[0] == "q1").input[2]
    return model


def make_other_scales() -> onnx.ModelProto:
    model = make_network()
    model.graph.initializer.append(numpy_helper.from_array(SCALES[::-1].copy(), "others"))
    next(node for node in model.graph.node if node.input[0] == "q1").input[1] = "others"
    return model


def put_into_nodes() -> onnx.ModelProto:
    model = make_network()
    scales = next(weight for weight in model.graph.initializer if weight.name == "scales")
    next(node for node in model.graph.node if node.input[0] == "q1").input[1] = "c"
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=scales))
    return model


def show_inside() -> onnx.ModelProto:
    model = make_network()
    model.graph.output.append(helper.make_tensor_value_info("r1", TensorProto.FLOAT, None))
    return model


@pytest.mark.parametrize(
    "model",
    [
        change("DequantizeLinear", 1, axis=1),
        change("DequantizeLinear", 1),
        change("QuantizeLinear", 1, axis=2),
        change("DequantizeLinear", 2, axis=2),
        take_zero_away(),
        make_other_scales(),
        put_into_nodes(),
        show_inside(),
    ],
    ids=["weights' axis", "weights' default axis", "axis", "other axis", "no zero", "other scales", "node", "output"],
)  # fmt: skip
def test_scales_stay_where_they_are_not_known_to_be_of_the_channels(model: onnx.ModelProto) -> None:
    before = model.SerializeToString(deterministic=True)
    assert to_one_scale(model).SerializeToString(deterministic=True) == before


def test_a_convolution_between_two_such_activations_gets_both_scales() -> None:
    model = make_network()
    second = [
        helper.make_node("QuantizeLinear", ["c2", "scales", "zeros"], ["q3"], axis=1),
        helper.make_node("DequantizeLinear", ["q3", "scales", "zeros"], ["a3"], axis=1),
        helper.make_node("DequantizeLinear", ["k2", "ks", "kz"], ["w3"], axis=0),
        helper.make_node("Conv", ["a3", "w3", "b"], ["c3"], group=CHANNELS),
    ]
    place = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "q2")
    model.graph.node[place].input[0] = "c3"
    for node in reversed(second):
        model.graph.node.insert(place, node)
    kept = onnx.ModelProto.FromString(model.SerializeToString())
    made = to_one_scale(model)
    onnx.checker.check_model(made, full_check=True)
    names = [weight.name for weight in made.graph.initializer]
    assert len(set(names)) == len(names)
    assert all(values.size == 1 for values in list_activations(made))
    np.testing.assert_array_equal(run_raw(made), run_raw(kept))


def test_quantised_weights_and_outputs_stay_signed() -> None:
    model = make_network()
    kernel = next(weight for weight in model.graph.initializer if weight.name == "k1")
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel).astype(np.float32) / 8, "k1"))
    model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["k1", "s", "z"], ["k1q"]))
    next(node for node in model.graph.node if node.output[0] == "w1").input[0] = "k1q"
    model.graph.output.append(helper.make_tensor_value_info("q2", TensorProto.INT8, ["n", CHANNELS, 6, 6]))
    made = to_unsigned(model)
    zeros = {node.output[0]: node.input[2] for node in made.graph.node if node.op_type == "QuantizeLinear"}
    assert zeros == {"k1q": "z", "q0": "z/unsigned", "q1": "zeros", "q2": "z"}
    onnx.checker.check_model(made, full_check=True)


def test_a_type_that_is_stated_too_becomes_unsigned() -> None:
    model = change("QuantizeLinear", 0, output_dtype=TensorProto.INT8)
    model.opset_import[0].version, model.ir_version = 21, 10
    kept = onnx.ModelProto.FromString(model.SerializeToString())
    made = to_unsigned(model)
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_array_equal(run_raw(made), run_raw(kept))


def test_all_activations_become_unsigned_and_weights_stay(tmp_path: Path) -> None:
    made = to_unsigned(make_network())
    zeros = list_activations(made)[1::2]
    assert [zero.dtype for zero in zeros] == [np.uint8] * 3 and [int(zero.flat[0]) for zero in zeros] == [128, 0, 128]
    assert {w.name: w.data_type for w in made.graph.initializer}["k1"] == TensorProto.INT8
    np.testing.assert_array_equal(run_raw(made), run_raw(make_network()))
    assert to_unsigned(onnx.ModelProto.FromString(made.SerializeToString())) == made, "a second time changes nothing"


def test_a_quantiser_without_a_zero_point_is_uint8_already() -> None:
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
        onnx.helper.make_node("DequantizeLinear", ["q", "scale"], ["y"]),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "plain", [], []))
    assert to_unsigned(onnx.ModelProto.FromString(model.SerializeToString())) == model
