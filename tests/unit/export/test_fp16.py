"""fp16 where the network computes, float32 where pixels and logits are."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.data.preprocessing.aipp import parse_aipp
from seatrial.data.preprocessing.steps import normalise
from seatrial.errors import EngineError, ParityError
from seatrial.export.derived_graph import DerivedGraphJob
from seatrial.export.fp16 import check_decided, check_weights, make_fp16, sort_nodes, to_fp16
from seatrial.export.fuse_aipp import fuse_aipp
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.recipes.schema import Recipe
from seatrial.store.records import GraphManifest
from uneven_network import RECIPE, draw_pixels, make_network, write_graph


def make_identity(kernel: np.ndarray | None = None) -> onnx.ModelProto:
    """One 1×1 convolution on images of one pixel; without a kernel the logits are the normalised pixel."""
    weights = np.eye(3, dtype=np.float32) if kernel is None else kernel.astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["same"], "conv"),
        helper.make_node("Flatten", ["same"], ["class"], "flatten"),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 1, 1]),
        helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", 3]),
    ]
    tensors = [numpy_helper.from_array(weights.reshape(3, 3, 1, 1), "kernel")]
    graph = helper.make_graph(nodes, "identity", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def make_job(folder: Path, model: onnx.ModelProto, images: np.ndarray, fuse: bool = True) -> DerivedGraphJob:
    path = write_graph(folder / "model.onnx", model, fuse)
    manifest = GraphManifest.load(folder / "model.onnx.json")
    return DerivedGraphJob(path, manifest, folder / "model-fp16.onnx", "key", images)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("opset", [11, 17])
def test_weights_become_float16_and_the_ends_stay(fuse: bool, opset: int) -> None:
    plain = make_network(uneven=1, opset=opset)
    model = fuse_preprocess(plain, RECIPE) if fuse else plain
    before = model.SerializeToString()
    half = to_fp16(model)
    assert model.SerializeToString() == before
    assert read_facts(half) == read_facts(model)
    types = {weight.name: weight.data_type for weight in half.graph.initializer}
    wide = {name for name, kind in types.items() if kind != TensorProto.FLOAT16}
    assert wide == ({"preprocess_mean", "preprocess_scale"} if fuse else set())
    pixels = draw_pixels(32, seed=2)
    images = pixels if fuse else normalise(pixels, RECIPE)
    expected = run_graph(model, images)
    error = np.linalg.norm(run_graph(half, images) - expected) / np.linalg.norm(expected)
    assert 0 < error < 5e-3


def test_colours_of_an_aipp_configuration_stay_float32() -> None:
    config = parse_aipp(
        "aipp_op { aipp_mode : static input_format : RGB888_U8 min_chn_0 : 120.5 var_reci_chn_0 : 0.017 }", "test"
    )
    model = fuse_aipp(make_network(uneven=1), config)
    half = to_fp16(model)
    mine = {weight.name: weight for weight in model.graph.initializer if weight.name.startswith("aipp_")}
    assert mine and mine == {w.name: w for w in half.graph.initializer if w.name.startswith("aipp_")}
    expected, logits = (run_graph(graph, draw_pixels(8)) for graph in (model, half))
    assert 0 < np.linalg.norm(logits - expected) < 5e-3 * np.linalg.norm(expected)


def test_pixels_are_rounded_once_after_they_are_normalised() -> None:
    """All 256 levels: what onnxruntime's converter does with these nodes alone is off by up to 64 times as much."""
    levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 1, 1, 3)
    fused = fuse_preprocess(make_identity(), RECIPE)
    expected = run_graph(fused, levels).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(run_graph(to_fp16(fused), levels), expected)


def test_the_derived_graph_is_beside_its_source_with_its_proof(tmp_path: Path) -> None:
    job = make_job(tmp_path, make_network(uneven=1), draw_pixels(32, seed=2))
    made = make_fp16(job)
    assert made == GraphManifest.load(tmp_path / "model-fp16.onnx.json")
    assert (made.precision, made.key, made.opset) == ("fp16", "key", job.manifest.opset)
    assert (made.input, made.output, made.checkpoint) == (
        job.manifest.input,
        job.manifest.output,
        "checkpoint.safetensors",
    )
    (moved,) = made.parity
    assert (moved.step, moved.images, moved.top1_disagreements) == ("fp16", 32, 0) and 0 < moved.relative_error < 5e-3
    check_weights(load_graph(job.output))


def test_what_does_not_fit_into_float16_is_an_error_and_no_file(tmp_path: Path) -> None:
    network = make_identity(np.diag([6e4, 5e4, 4e4]))
    bright = np.full((4, 1, 1, 3), 255, np.uint8) - np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    recipe = RECIPE.model_dump(mode="json", exclude_none=True)
    recipe["preprocess"][0]["size"] = [1, 1]
    job = make_job(tmp_path, fuse_preprocess(network, Recipe.read(recipe, "one pixel")), bright, fuse=False)
    with pytest.raises(ParityError, match="NaN or infinity"):
        make_fp16(job)
    assert not job.output.exists()


def test_weights_that_stayed_float32_are_an_error() -> None:
    with pytest.raises(EngineError, match="4 of 4 layers did not become float16") as caught:
        check_weights(make_network(uneven=1))
    assert caught.value.exit_code == 5


def test_only_decided_images_must_keep_their_first_class() -> None:
    reference = np.array([[1.0, 0.999, -1.0], [1.0, 0.9, -1.0]])
    check_decided(reference, np.array([[0.999, 1.0, -1.0], [1.0, 0.9, -1.0]]))
    with pytest.raises(ParityError, match="1 of 1 images get another first class"):
        check_decided(reference, np.array([[1.0, 0.999, -1.0], [0.9, 1.0, -1.0]]))
    check_decided(reference[:1], reference[:1, ::-1])


def test_nodes_are_put_in_running_order() -> None:
    a, b, c = (helper.make_node("Relu", [x], [y], name=y) for x, y in (("x", "a"), ("a", "b"), ("b", "c")))
    assert [node.name for node in sort_nodes([c, b, a])] == ["a", "b", "c"]
    assert [node.name for node in sort_nodes([a, b, c])] == ["a", "b", "c"]
    circle = helper.make_node("Relu", ["c"], ["a"], name="back")
    with pytest.raises(EngineError, match="cycle at 'b'"):
        sort_nodes([b, c, circle])
