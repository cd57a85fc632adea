"""What graphs compute in: real ones by onnxruntime's own quantisers, and small ones in closed form."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

from seatrial.cli import run_cli
from seatrial.engines.base import read_engine
from seatrial.engines.node_types import count_precisions, list_layers
from seatrial.export.graph import read_precision
from seatrial.store.records import GraphManifest

CLASSES = 32
CARD = (
    'name = "small"\ntitle = "Small"\n'
    'preprocess = [{ step = "center_crop", size = [8, 8] }, { step = "to_float" }]\n'
    f'[network]\nname = "fake"\nclasses = {CLASSES}\n'
)


def make_network(opset: int = 17) -> onnx.ModelProto:
    """A convolution and two linear layers on float32 (n, 3, 8, 8)."""
    rng = np.random.default_rng(0)
    sizes = {"kernel": (64, 3, 3, 3), "first": (64, CLASSES), "second": (CLASSES, CLASSES)}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in sizes.items()]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["sums"], "conv"),
        helper.make_node("GlobalAveragePool", ["sums"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "first"], ["hidden"], "first"),
        helper.make_node("Relu", ["hidden"], ["positive"], "relu"),
        helper.make_node("MatMul", ["positive", "second"], ["class"], "second"),
    ]
    return close(nodes, weights, opset)


def close(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], opset: int = 17) -> onnx.ModelProto:
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8]),
        helper.make_tensor_value_info("class", TensorProto.FLOAT, ["n", CLASSES]),
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


def make_dynamic(folder: Path) -> onnx.ModelProto:
    """Quantised by onnxruntime while it runs: DynamicQuantizeLinear, ConvInteger, MatMulInteger."""
    onnx.save(make_network(), folder / "plain.onnx")
    quantize_dynamic(folder / "plain.onnx", folder / "dynamic.onnx")
    return onnx.load(folder / "dynamic.onnx")


def make_packed(bits: int, form: QuantFormat = QuantFormat.QOperator) -> onnx.ModelProto:
    """Linear layers with weights of 4 or 8 bits, packed, by onnxruntime."""
    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, bits=bits, quant_format=form)
    made = MatMulNBitsQuantizer(make_network(opset=21), algo_config=config)
    made.process()
    return made.model.model


def optimise(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """The graph that onnxruntime makes of it and runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def test_a_plain_graph(tmp_path: Path) -> None:
    assert count_precisions(make_network()) == {"fp32": 3} == count_precisions(optimise(make_network(), tmp_path))


def test_a_dynamically_quantised_graph_is_int8_before_and_after_fusing(tmp_path: Path) -> None:
    model = make_dynamic(tmp_path)
    fused = optimise(model, tmp_path)
    assert "DynamicQuantizeMatMul" in {node.op_type for node in fused.graph.node}
    assert count_precisions(model, fuses=True) == count_precisions(fused) == {"int8": 3}
    assert read_precision(model) == "int8"


@pytest.mark.parametrize(("bits", "name"), [(4, "int4"), (8, "int8")])
def test_packed_weights_count_by_their_bits(bits: int, name: str, tmp_path: Path) -> None:
    model = make_packed(bits)
    assert "MatMulNBits" in {node.op_type for node in model.graph.node}
    assert count_precisions(optimise(model, tmp_path)) == {name: 2, "fp32": 1}
    assert read_precision(model) == name


def test_dequantised_weights_of_four_bits_are_int4() -> None:
    assert count_precisions(make_packed(4, QuantFormat.QDQ), fuses=True) == {"int4": 2, "fp32": 1}


def make_qdq(quantised_input: bool) -> onnx.ModelProto:
    """A convolution with int8 weights behind DequantizeLinear and Transpose; its input too, or float."""
    scale, zero = numpy_helper.from_array(np.float32(0.05), "s"), numpy_helper.from_array(np.int8(0), "z")
    kernel = numpy_helper.from_array(np.ones((3, 3, 3, CLASSES), np.int8), "kernel")
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"]),
        helper.make_node("DequantizeLinear", ["kernel", "s", "z"], ["w"]),
        helper.make_node("Transpose", ["w"], ["wt"], perm=[3, 0, 1, 2]),
        helper.make_node("Conv", ["dq" if quantised_input else "image", "wt"], ["sums"]),
        helper.make_node("GlobalAveragePool", ["sums"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["class"]),
    ]
    return close(nodes, [scale, zero, kernel])


def test_int8_takes_both_sides_of_a_layer(tmp_path: Path) -> None:
    """onnxruntime multiplies floats where only the weights are int8."""
    assert read_precision(make_qdq(True)) == "int8"
    weights_only = make_qdq(False)
    assert read_precision(weights_only) == "fp32"
    assert count_precisions(optimise(weights_only, tmp_path)) == {"fp32": 1}


def test_what_is_not_fused_runs_in_float() -> None:
    assert count_precisions(make_qdq(True)) == {"fp32": 1}


@pytest.mark.parametrize("as_constant", [False, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TensorProto.UINT8, "int8"),
        (TensorProto.FLOAT, "fp32"),
        (TensorProto.FLOAT16, "fp16"),
        (TensorProto.INT32, None),
    ],
)
def test_a_fused_operator_that_no_list_names_counts_by_its_matrix(
    kind: int, name: str | None, as_constant: bool
) -> None:
    matrix = helper.make_tensor("w", kind, [2, 2], [1, 1, 1, 1])
    constant = [helper.make_node("Constant", [], ["w"], value=matrix)] if as_constant else []
    layer = helper.make_node("SomethingFused", ["unseen", "w"], ["class"], domain="org.example")
    counted = count_precisions(close([*constant, layer], [] if as_constant else [matrix]))
    assert counted == {name or "unknown": 1}


def test_what_cannot_be_read_is_unknown_and_never_fp32() -> None:
    model = close([helper.make_node("FusedMatMulOfSomebody", ["a", "b"], ["class"], domain="org.example")], [])
    assert count_precisions(model) == {"unknown": 1} and read_precision(model) == "unknown"
    packed = helper.make_tensor("w", TensorProto.UINT8, [2], [1, 1])
    odd = helper.make_node("MatMulOdd", ["image", "w"], ["class"], domain="org.example", K=4, N=4)
    assert count_precisions(close([odd], [packed])) == {"unknown": 1}


@pytest.mark.parametrize(
    ("zero", "given", "name"),
    [
        (None, {}, "int8"),
        (None, {"output_dtype": TensorProto.INT4}, "int4"),
        (np.int8(0), {}, "int8"),
        (np.float32(0), {}, "fp32"),
    ],
)
def test_what_another_domain_quantises_to_is_its_zero_point_or_stated_or_bytes(
    zero: np.generic | None, given: dict[str, int], name: str
) -> None:
    constants = {"s": np.float32(0.05)} | ({} if zero is None else {"z": zero})
    nodes = [
        helper.make_node("QuantizeLinear", ["image", *constants], ["q"], domain="com.microsoft", **given),
        helper.make_node("MatMulOfBytes", ["q", "q"], ["class"], domain="com.microsoft"),
    ]
    stored = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    assert count_precisions(close(nodes, stored)) == {name: 1}


def test_layers_inside_nodes_and_functions_count() -> None:
    kernel = numpy_helper.from_array(np.ones((CLASSES, 3, 8, 8), np.float32), "kernel")
    inner = [helper.make_node("Conv", ["image", "kernel"], ["inner"])]
    branch = helper.make_graph(inner, "branch", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])
    yes = numpy_helper.from_array(np.array(True), "yes")
    nodes = [
        helper.make_node("If", ["yes"], ["sums"], then_branch=branch, else_branch=branch),
        helper.make_node("Flatten", ["sums"], ["class"]),
    ]
    assert count_precisions(close(nodes, [kernel, yes])) == {"fp32": 2}
    model = close([helper.make_node("Block", ["image", "kernel"], ["class"], domain="local")], [kernel])
    body = [helper.make_node("Conv", ["x", "w"], ["y"])]
    made = helper.make_function("local", "Block", ["x", "w"], ["y"], body, [helper.make_opsetid("", 17)])
    model.functions.append(made)
    model.opset_import.append(helper.make_opsetid("local", 1))
    assert count_precisions(model) == {"fp32": 1}


def test_weights_outside_the_file_need_not_be_there(tmp_path: Path) -> None:
    onnx.save(make_network(), tmp_path / "m.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    assert count_precisions(onnx.load(tmp_path / "m.onnx", load_external_data=False)) == {"fp32": 3}


def test_a_graph_of_integer_convolutions_compiles_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(make_dynamic(tmp_path), "theirs.onnx")
    Path("card.toml").write_text(CARD)
    words = ["compile", "theirs.onnx", "--engine", "onnxruntime", "--output"]
    assert run_cli([*words, "e", "--recipe", "card.toml"]) == 0
    assert GraphManifest.load(Path("theirs.onnx.json")).precision == "int8"
    built = read_engine(Path("e")).manifest
    assert (built.precision, dict(built.executed)) == ("int8", {"int8": 3})
    assert run_cli([*words, "f", "--precision", "fp32"]) == 2
    assert "computes in int8, and --precision is fp32" in capsys.readouterr().err


def test_a_four_bit_graph_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(make_packed(4), "theirs.onnx")
    Path("card.toml").write_text(CARD)
    words = ["compile", "theirs.onnx", "--recipe", "card.toml", "--engine", "onnxruntime", "--output", "e"]
    assert run_cli(words) == 5
    assert "computes in int4, which onnxruntime cannot run here" in capsys.readouterr().err


def make_weight_only(domain: str, quantises: bool = False) -> onnx.ModelProto:
    """The network with its kernel as int8, dequantised (or first quantised) by the graph: UseQDQContribOps."""
    model = make_network()
    kernel = model.graph.initializer[0]
    values = numpy_helper.to_array(kernel)
    scale = np.float32(np.abs(values).max() / 127)
    stored = values if quantises else np.rint(values / scale).astype(np.int8)
    kernel.CopyFrom(numpy_helper.from_array(stored, "stored"))
    constants = {"scale": scale, "zero": np.int8(0)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    nodes = [helper.make_node("DequantizeLinear", ["stored", "scale", "zero"], ["kernel"], domain=domain)]
    if quantises:
        nodes.insert(0, helper.make_node("QuantizeLinear", ["stored", "scale", "zero"], ["q"], domain=domain))
        nodes[1].input[0] = "q"
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    return model


@pytest.mark.parametrize("quantises", [False, True])
@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_what_converts_weights_is_no_layer(domain: str, quantises: bool) -> None:
    assert count_precisions(make_weight_only(domain, quantises)) == {"fp32": 3}


@pytest.mark.parametrize(("asked", "found"), [(0, "int8"), (TensorProto.INT8, "int8"), (TensorProto.INT4, "int4"),
                                              (TensorProto.FLOAT8E4M3FN, "fp8")])  # fmt: skip
def test_without_a_zero_point_a_node_says_what_it_quantises_to(
    asked: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: onnx.ModelProto) -> onnx.ModelProto:
        raise onnx.shape_inference.InferenceError("[ShapeInferenceError] of a graph that onnx cannot follow")

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", fail)
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    kernel = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "kernel")
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale"], ["q"], output_dtype=asked),
        helper.make_node("OddConv", ["q", "kernel"], ["class"], domain="com.microsoft"),
    ]
    assert count_precisions(close(nodes, [scale, kernel], 23)) == {found: 1}


def test_layers_are_named_by_their_nodes_or_by_what_they_give() -> None:
    model = make_network()
    model.graph.node[3].name = ""
    layers = [(layer.name, layer.operator, layer.precision) for layer in list_layers(model)]
    assert layers == [("conv", "Conv", "fp32"), ("hidden", "MatMul", "fp32"), ("second", "MatMul", "fp32")]
