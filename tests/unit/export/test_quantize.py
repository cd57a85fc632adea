"""int8 graphs by the real NNCF, run by the real onnxruntime and OpenVINO."""

import logging
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.errors import EngineError, ParityError
from seatrial.export.accuracy_aware import count_spare, quantize_within, rank_layers
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import run_graph
from seatrial.export.quantize import check_quantized, list_quantized, quantize, raise_opset
from seatrial.export.signed_activations import to_signed_activations
from seatrial.export.spec import ExportSpec
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.progress import Update, silent
from seatrial.recipes import load_recipe
from seatrial.workflow.export import draw_pictures, export_checkpoint
from tiny_trial import LAYERS, SUMS, TinyTrial
from uneven_network import RECIPE, SPOILED, draw_pixels, make_network


@pytest.fixture(scope="module")
def resnet(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """The small ResNet at 32 px, opset 11, uint8 images."""
    path = tmp_path_factory.mktemp("resnet") / "model.onnx"
    export_checkpoint(load_recipe(str(tiny_trial.card)), tiny_trial.checkpoint, path, ExportSpec(opset=11), [])
    return load_graph(path)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return draw_pictures(48, (32, 32))


@pytest.fixture(scope="module")
def raised(resnet: onnx.ModelProto, pictures: np.ndarray) -> onnx.ModelProto:
    return raise_opset(resnet, pictures)


@pytest.fixture(scope="module")
def int8(raised: onnx.ModelProto, pictures: np.ndarray) -> onnx.ModelProto:
    return quantize(raised, pictures[:16], "performance")


def fuse(uneven: float = 3000.0, opset: int = 13, batch: int | str = "batch") -> onnx.ModelProto:
    return fuse_preprocess(make_network(uneven, opset, batch), RECIPE)


def run_openvino(model: onnx.ModelProto, images: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
    """Logits, and the computing layers by the precision that they ran in."""
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    infos = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    layers = [info for info in infos if info["layerType"].astype(str) in ("Convolution", "FullyConnected")]
    return np.array(compiled([images])[0]), Counter(info["runtimePrecision"].astype(str) for info in layers)


def test_every_layer_has_a_scale_for_each_output(int8: onnx.ModelProto, raised: onnx.ModelProto) -> None:
    layers = check_quantized(int8, raised)
    assert (len(layers.int8), layers.plain, layers.count) == (LAYERS, (), LAYERS)
    assert read_facts(int8) == read_facts(raised) and read_facts(int8).opset == 13


def test_preprocessing_stays_float_and_residual_sums_are_quantised(int8: onnx.ModelProto) -> None:
    quantized = list_quantized(int8)
    assert not [name for name in quantized if name.startswith("preprocess_")]
    assert sum(name.endswith("/Add") for name in quantized) == SUMS


def test_openvino_fuses_it_and_predicts_as_fp32(
    int8: onnx.ModelProto, resnet: onnx.ModelProto, pictures: np.ndarray
) -> None:
    expected = run_graph(resnet, pictures)
    logits, executed = run_openvino(int8, pictures)
    assert executed.total() == LAYERS and set(executed) <= {"u8", "i8"}
    assert (logits.argmax(1) == expected.argmax(1)).mean() >= 0.95
    assert np.linalg.norm(logits - expected) < 0.1 * np.linalg.norm(expected)


def test_onnxruntime_fuses_it_and_predicts_as_fp32(
    int8: onnx.ModelProto, resnet: onnx.ModelProto, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected, logits = run_graph(resnet, pictures), run_graph(int8, pictures)
    assert (logits.argmax(1) == expected.argmax(1)).mean() >= 0.95
    assert 0 < np.linalg.norm(logits - expected) < 0.1 * np.linalg.norm(expected)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path_factory.mktemp("fused") / "model.onnx")
    onnxruntime.InferenceSession(int8.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fused = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert (fused["QLinearConv"], fused["QLinearAdd"], fused["Conv"]) == (LAYERS - 1, SUMS, 0)


def test_raising_the_opset_changes_no_prediction(
    resnet: onnx.ModelProto, raised: onnx.ModelProto, pictures: np.ndarray
) -> None:
    assert (read_facts(resnet).opset, read_facts(raised).opset) == (11, 13)
    np.testing.assert_array_equal(run_graph(raised, pictures), run_graph(resnet, pictures))
    assert raise_opset(raised, pictures) is raised


def test_a_graph_that_onnx_cannot_convert_is_to_be_exported_anew() -> None:
    """Opset 7 could normalise each pixel by itself; nothing later can."""
    nodes = [
        helper.make_node("BatchNormalization", ["image", *"abcd"], ["class"], "norm", spatial=0),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, 4, 4]) for name in ("image", "class")]
    tensors = [numpy_helper.from_array(np.ones((3, 4, 4), np.float32), name) for name in "abcd"]
    graph = helper.make_graph(nodes, "norm", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=8)
    with pytest.raises(
        EngineError, match=r"onnx cannot convert the graph from opset 7 .*export it with --opset 13 or newer"
    ):
        raise_opset(model, np.zeros((1, 3, 4, 4), np.float32))


def test_a_graph_that_was_quantised_per_tensor_is_refused() -> None:
    """Opset 11 has no scales for channels: NNCF goes on without, and its warning is easily missed."""
    model = fuse(uneven=1, opset=11)
    made = quantize(model, draw_pixels(8), "performance")
    with pytest.raises(
        EngineError, match=r"layer 'conv1' has 1 scales for 8 outputs: it was quantised per tensor"
    ) as caught:
        check_quantized(made, model)
    assert caught.value.exit_code == 5


def test_a_graph_without_int8_is_refused() -> None:
    with pytest.raises(EngineError, match="0 of 4 layers became int8"):
        check_quantized(fuse(), fuse())


def test_weights_with_a_zero_point_are_refused() -> None:
    model = fuse(uneven=1)
    made = quantize(model, draw_pixels(8), "performance")
    name = next(node.input[2] for node in made.graph.node if node.input[0].startswith("q_output_kernel2"))
    point = next(weight for weight in made.graph.initializer if weight.name == name)
    point.CopyFrom(numpy_helper.from_array(np.full(8, 3, np.int8), name))
    with pytest.raises(EngineError, match="layer 'conv2' has weights that are not symmetric int8"):
        check_quantized(made, model)


def test_nncf_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    quantize(fuse(uneven=1), draw_pixels(8), "performance")
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert logging.getLogger().level == logging.WARNING


@pytest.mark.parametrize("images", [3, 8, 10])
def test_a_fixed_batch_is_filled_up(images: int) -> None:
    model = fuse(uneven=1, batch=8)
    made = quantize(model, draw_pixels(images), "performance")
    assert check_quantized(made, model).plain == () and read_facts(made).input.shape == (8, 12, 12, 3)


def test_layers_to_keep_stay_float() -> None:
    model = fuse(uneven=1)
    layers = check_quantized(quantize(model, draw_pixels(8), "performance", ["conv2"]), model)
    assert layers.plain == ("conv2",) and layers.int8 == ("conv1", "conv3", "conv4")
    made = quantize(model, draw_pixels(8), "performance", ["conv1", "conv2", "conv3"])
    with pytest.raises(EngineError, match="1 of 4 layers became int8, and an int8 engine needs at least half"):
        check_quantized(made, model)


def test_without_nncf_it_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(EngineError, match=r"nncf, .*, is not installed; pip install 'seatrial\[openvino\]'"):
        quantize(fuse(), draw_pixels(8), "performance")


def test_signed_activations_cover_the_same_range(int8: onnx.ModelProto, pictures: np.ndarray) -> None:
    signed = to_signed_activations(int8)
    points = {w.name: w for w in signed.graph.initializer if w.name.startswith("zero_point")}
    assert points and {point.data_type for point in points.values()} == {TensorProto.INT8}
    expected, logits = run_graph(int8, pictures), run_graph(signed, pictures)
    assert 0 < np.linalg.norm(logits - expected) < 0.1 * np.linalg.norm(expected)
    np.testing.assert_array_equal(run_graph(to_signed_activations(signed), pictures), logits)


def test_an_int8_activation_keeps_the_scale_that_it_shares_with_an_unsigned_one() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "of_uint8"], ["a"], name="qa"),
        helper.make_node("DequantizeLinear", ["a", "scale", "of_uint8"], ["b"], name="da"),
        helper.make_node("QuantizeLinear", ["b", "scale", "of_int8"], ["c"], name="qc"),
        helper.make_node("DequantizeLinear", ["c", "scale", "of_int8"], ["y"], name="dc"),
    ]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])] for name in "xy"]
    zeros = [numpy_helper.from_array(kind(0), f"of_{kind.__name__}") for kind in (np.uint8, np.int8)]
    scale = numpy_helper.from_array(np.float32(0.5), "scale")
    graph = helper.make_graph(nodes, "shared", *ends, [scale, *zeros])
    signed = to_signed_activations(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    values = {weight.name: numpy_helper.to_array(weight) for weight in signed.graph.initializer}
    steps = [float(values[node.input[1]]) for node in signed.graph.node]
    assert steps == pytest.approx([0.5 * 255 / 127] * 2 + [0.5] * 2)
    assert {values[node.input[2]].dtype for node in signed.graph.node} == {np.dtype(np.int8)}


def test_a_zero_point_cannot_become_signed() -> None:
    shifted = fuse(uneven=1)
    made = quantize(shifted, draw_pixels(8), "mixed")
    with pytest.raises(EngineError, match=r"zero point.*quantise with --preset performance"):
        to_signed_activations(made)


class TestPutBack:
    """The uneven network; its own answers in float are the labels."""

    pixels = draw_pixels(200, seed=3)
    calibration = draw_pixels(24, seed=1)

    def measure(self, model: onnx.ModelProto) -> float:
        labels = run_graph(fuse(), self.pixels).argmax(axis=1)
        return 100 * float((run_graph(model, self.pixels).argmax(1) != labels).mean())

    def test_the_spoiled_layer_goes_back_first(self) -> None:
        told: list[Update] = []
        found = quantize_within(fuse(), self.calibration, "performance", 2.0, self.measure, told.append)
        assert found.drop_pp <= 2.0 and found.keep[0] == SPOILED and len(found.keep) < 4
        layers = check_quantized(found.model, fuse())
        assert set(layers.plain) == set(found.keep) & {"conv1", "conv2", "conv3", "conv4"}
        drops = [update.note for update in told if "with 0 layers in float" in update.note]
        assert len(drops) == 1 and float(drops[0].split()[-2]) > 10

    def test_nothing_goes_back_where_nothing_is_lost(self) -> None:
        found = quantize_within(fuse(), self.calibration, "performance", 100.0, self.measure, silent)
        assert found.keep == () and check_quantized(found.model, fuse()).plain == ()

    def test_a_budget_that_cannot_be_kept_is_an_error(self) -> None:
        with pytest.raises(
            ParityError, match=r"7\.25 points with [23] of 5 layers in float, and 1 are allowed; .* no int8 graph"
        ):
            quantize_within(fuse(), self.calibration, "performance", 1.0, lambda model: 7.25, silent)

    @pytest.mark.parametrize(
        ("ranked", "spare"),
        [
            ("conv3 conv2 conv1 conv4 pool", 2),
            ("conv3 pool conv2 conv1 conv4", 3),
            ("conv3 conv2 pool", 0),
            ("conv3 conv2 conv1 pool", 1),
            ("pool", 0),
        ],
    )
    def test_half_of_the_layers_stay_in_int8(self, ranked: str, spare: int) -> None:
        assert count_spare(fuse(), ranked.split()) == spare

    def test_exactly_half_of_an_even_number_is_half(self) -> None:
        names = [f"conv{number}" for number in range(4)]
        nodes = [onnx.helper.make_node("Conv", ["x", "weight"], [name], name=name) for name in names]
        model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "four", [], []))
        assert count_spare(model, names) == 2

    def test_as_few_as_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By a closed form: each node in float saves 10 of 50 points, so 3 are needed for 25, two of them layers."""
        tried: list[int] = []

        def remember(model: onnx.ModelProto, images: np.ndarray, preset: str, keep: list[str]) -> onnx.ModelProto:
            tried.append(len(keep))
            return model

        monkeypatch.setattr("seatrial.export.accuracy_aware.quantize", remember)
        monkeypatch.setattr(
            "seatrial.export.accuracy_aware.rank_layers", lambda *given: ["pool", "conv3", "conv2", "conv1", "conv4"]
        )

        def measure(model: onnx.ModelProto) -> float:
            return 50.0 - 10 * tried[-1]

        found = quantize_within(fuse(), self.calibration, "performance", 25.0, measure, silent)
        assert found.keep == ("pool", "conv3", "conv2") and found.drop_pp == 20.0
        assert tried == [0, 1, 2, 3]

    def test_ranking_ends_with_layers_that_only_pass_on(self) -> None:
        model = fuse()
        ranked = rank_layers(
            model, quantize(model, self.calibration, "performance"), self.calibration, "performance", silent
        )
        assert ranked[0] == SPOILED and sorted(ranked) == ["conv1", "conv2", "conv3", "conv4", "pool"]
