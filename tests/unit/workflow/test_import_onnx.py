from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from fake_engine import make_graph, make_recipe
from onnx_graphs import write_linear
from seatrial.cli import run_cli
from seatrial.engines import get_engine
from seatrial.engines.base import read_engine
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import RefusedFile, UsageError
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import check_inference, load_graph, read_facts
from seatrial.store.predictions import Predictions
from seatrial.store.records import GraphManifest
from seatrial.workflow.import_onnx import import_graph

RECIPE = make_recipe(network={"name": "fake", "classes": 3})


def write_means(path: Path, size: tuple[int, int] = (4, 6), classes: int = 3, layout: str = "NCHW") -> Path:
    """A graph whose three logits are the means of the normalised channels."""
    shape = ["batch", 3, *size] if layout == "NCHW" else ["batch", *size, 3]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    node = onnx.helper.make_node("ReduceMean", ["pixels"], ["scores"], axes=axes, keepdims=0)
    ends = [
        [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["batch", classes])],
    ]
    graph = onnx.helper.make_graph([node], "means", *ends)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    return path


CARD = """\
name = "small"
title = "Small"
preprocess = [
  { step = "center_crop", size = [4, 6] },
  { step = "to_float" },
  { step = "normalise", mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] },
]
[network]
name = "fake"
classes = 3
"""


def compile_to(folder: str, engine: str, *words: str) -> int:
    return run_cli(["compile", "theirs.onnx", "--engine", engine, "--output", folder, *words])


def predict(folder: Path, engine: str = "onnxruntime") -> np.ndarray:
    """Logits of one drawn image."""
    images = np.random.default_rng(1).standard_normal((1, 3, 4, 6)).astype(np.float32)
    with get_engine(engine).open(read_engine(folder), "cpu") as session:
        return session.run(images)


def test_what_is_asked_now_outranks_a_stored_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_linear(tmp_path / "theirs.onnx")
    means = []
    for mean in ("0.25", "0.5"):
        (tmp_path / "card.toml").write_text(CARD.replace("mean = [0.5", f"mean = [{mean}"))
        assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 0
        means.append(read_engine(tmp_path / "e").manifest.graph.recipe["preprocess"][-1]["mean"][0])
    assert means == [0.25, 0.5]
    before = predict(tmp_path / "e")
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 0
    assert "already compiled" in capsys.readouterr().err
    # Exported again in place.
    write_linear(tmp_path / "theirs.onnx", seed=1)
    np.testing.assert_array_equal(predict(tmp_path / "e"), before)
    assert compile_to("e", "onnxruntime") == 8
    assert "name its recipe again with `compile --recipe`" in capsys.readouterr().err
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 0
    assert not np.array_equal(predict(tmp_path / "e"), before)


def write_large_kernel(path: Path, node: onnx.NodeProto) -> None:
    """A graph of free sizes that begins with this node, from `pixels` to `seen`."""
    nodes = [node, onnx.helper.make_node("ReduceMean", ["seen"], ["scores"], axes=[2, 3], keepdims=0)]
    ends = [
        [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["batch", 3])],
    ]
    weights = onnx.numpy_helper.from_array(np.ones((3, 3, 5, 5), np.float32), "weights")
    graph = onnx.helper.make_graph(nodes, "large", *ends, [weights])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)


def test_images_that_are_too_small_for_a_kernel_are_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.toml").write_text(CARD)
    stem = onnx.helper.make_node("Conv", ["pixels", "weights"], ["seen"], name="stem")
    write_large_kernel(tmp_path / "theirs.onnx", stem)
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 2
    told = (
        "theirs.onnx does not run on images of 4 × 6: the kernel of Conv 'stem' is 5 × 5, and its input, padded, 4 × 6"
    )
    assert capsys.readouterr().err.startswith(f"seatrial: {told}; give larger ones")
    # Of such a pooling the standard lets a part lie outside, and openvino does not.
    pool = {"kernel_shape": [5, 5], "strides": [2, 2], "ceil_mode": 1, "name": "pool"}
    write_large_kernel(tmp_path / "theirs.onnx", onnx.helper.make_node("MaxPool", ["pixels"], ["seen"], **pool))
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml", "--batch-size", "1") == 0
    capsys.readouterr()
    assert compile_to("o", "openvino", "--recipe", "card.toml", "--batch-size", "1") == 2
    told = "openvino does not run theirs.onnx on images of 4 × 6: the kernel of MaxPool 'pool' is 5 × 5, and its input"
    assert capsys.readouterr().err.startswith(f"seatrial: {told}")


def test_a_manifest_of_our_own_export_refuses_another_card(tmp_path: Path) -> None:
    graph = make_graph(tmp_path)
    assert import_graph(graph, make_recipe()).exporter == "none"
    with pytest.raises(UsageError, match=r"of another recipe, which model.onnx.json names; leave --recipe out"):
        import_graph(graph, make_recipe(title="Another"))
    graph.write_bytes(b"another")
    with pytest.raises(UsageError, match=r"delete model.onnx.json if another tool wrote model.onnx"):
        import_graph(graph, make_recipe())


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_weights_beside_a_graph_are_part_of_it(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.toml").write_text(CARD)
    write_linear(tmp_path / "theirs.onnx")
    assert compile_to("whole", engine, "--recipe", "card.toml") == 0
    write_linear(tmp_path / "theirs.onnx", outside="theirs.onnx.data")
    nodes = (tmp_path / "theirs.onnx").read_bytes()
    assert compile_to("e", engine, "--recipe", "card.toml") == 0
    np.testing.assert_array_equal(predict(tmp_path / "e", engine), predict(tmp_path / "whole", engine))
    assert compile_to("fixed", engine, "--batch-size", "1") == 0
    np.testing.assert_array_equal(predict(tmp_path / "fixed", engine), predict(tmp_path / "whole", engine))
    write_linear(tmp_path / "theirs.onnx", seed=1, outside="theirs.onnx.data")
    assert (tmp_path / "theirs.onnx").read_bytes() == nodes
    with pytest.raises(RefusedFile, match="checksum mismatch"):
        read_graph(tmp_path / "theirs.onnx")
    assert compile_to("e", engine, "--recipe", "card.toml") == 0
    assert not np.array_equal(predict(tmp_path / "e", engine), predict(tmp_path / "whole", engine))
    (tmp_path / "theirs.onnx.data").unlink()
    with pytest.raises(RefusedFile, match=r"theirs.onnx.data, which holds weights of .*, is missing"):
        read_graph(tmp_path / "theirs.onnx")
    with pytest.raises(RefusedFile, match=r"keeps weights in theirs.onnx.data, which is missing; put"):
        import_graph(tmp_path / "theirs.onnx", RECIPE)


def test_weights_under_a_name_of_the_engine_folder_go_into_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.toml").write_text(CARD)
    write_linear(tmp_path / "theirs.onnx", outside="engine.json")
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 0
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == ["engine.json", "model-free.onnx"]


@pytest.mark.parametrize("place", ["../weights", "/etc/passwd"])
def test_weights_outside_the_folder_are_refused(place: str, tmp_path: Path) -> None:
    graph = write_linear(tmp_path / "theirs.onnx", outside="weights")
    model = onnx.load(graph, load_external_data=False)
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == "location").value = place
    onnx.save(model, graph)
    with pytest.raises(RefusedFile, match=f"keeps weights in '{place}', which is outside its folder"):
        import_graph(graph, RECIPE)


def test_a_model_too_large_for_a_message_is_run_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_graph(write_linear(tmp_path / "theirs.onnx", outside="weights"))
    images = np.random.default_rng(1).standard_normal((1, 3, 4, 6)).astype(np.float32)
    expected = run_graph(model, images)
    monkeypatch.setattr("seatrial.export.graph.MOST_BYTES", 10)
    np.testing.assert_array_equal(run_graph(model, images), expected)
    np.testing.assert_array_equal(run_graph(model, images), expected)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_card_names_the_output_to_take(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_linear(tmp_path / "theirs.onnx", outputs=("means", "scores"))
    with pytest.raises(RefusedFile, match=r"1 input and 2 outputs.*name one of means, scores in the card"):
        import_graph(tmp_path / "theirs.onnx", RECIPE)
    (tmp_path / "card.toml").write_text(f'{CARD}[graph]\noutput = "scores"\n')
    assert compile_to("e", engine, "--recipe", "card.toml") == 0
    write_linear(tmp_path / "theirs.onnx")
    assert compile_to("one", engine, "--recipe", "card.toml") == 0
    np.testing.assert_array_equal(predict(tmp_path / "e", engine), predict(tmp_path / "one", engine))


def test_a_foreign_graph_runs_once_a_card_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_means(tmp_path / "theirs.onnx")
    (tmp_path / "card.toml").write_text(
        'name = "small"\ntitle = "Small"\n'
        'preprocess = [{ step = "center_crop", size = [4, 6] }, { step = "to_float" }]\n'
        '[network]\nname = "fake"\nclasses = 3\n'
    )
    assert run_cli(["compile", "theirs.onnx", "--engine", "onnxruntime", "--output", "e"]) == 2
    assert run_cli(["compile", "theirs.onnx", "--recipe", "card.toml", "--engine", "onnxruntime", "--output", "e"]) == 0
    manifest = GraphManifest.load(tmp_path / "theirs.onnx.json")
    assert (manifest.exporter, manifest.precision, manifest.fused) == ("elsewhere", "fp32", False)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    floats = (pixels / np.float32(255)).transpose(0, 3, 1, 2)
    with get_engine("onnxruntime").open(read_engine(tmp_path / "e"), "cpu") as session:
        np.testing.assert_allclose(session.run(np.ascontiguousarray(floats)), floats.mean(axis=(2, 3)), rtol=1e-5)
    assert run_cli(["compile", "theirs.onnx", "--engine", "torch", "--output", "t"]) == 2


@pytest.mark.parametrize(
    ("graph", "error", "words"),
    [
        (
            {"size": (6, 4)},
            UsageError,
            "takes N×3×6×4, and small gives 3×4×6; take a card whose",
        ),
        ({"classes": 9}, UsageError, "has 9 classes, small 3"),
    ],
)
def test_a_graph_of_another_network_is_refused(
    graph: dict[str, object], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        import_graph(write_means(tmp_path / "theirs.onnx", **graph), RECIPE)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.onnx"]


@pytest.mark.parametrize(("layout", "kind"), [("NHWC", "float32"), ("NCHW", "uint8"), ("NHWC", "uint8")])
def test_images_are_transposed_to_what_the_graph_takes(
    layout: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 6, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    for index, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / "images" / f"{index}.png")
    (tmp_path / "labels.txt").write_text("".join(f"{index}.png {index % 3}\n" for index in range(6)))
    write_means(tmp_path / "theirs.onnx", layout=layout)
    if kind == "uint8":
        model = onnx.load(tmp_path / "theirs.onnx")
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
        model.graph.node[0].input[0] = "floats"
        model.graph.node.insert(0, onnx.helper.make_node("Cast", ["pixels"], ["floats"], to=onnx.TensorProto.FLOAT))
        onnx.save(model, tmp_path / "theirs.onnx")
    (tmp_path / "card.toml").write_text(CARD + "[gates]\nplausible = false\n")
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 0
    words = ["evaluate", "e", "--images", "images", "--labels", "labels.txt", "--output", "out", "--batch-size", "4"]
    assert run_cli(words) == 0
    means = pixels.mean(axis=(1, 2)) if kind == "uint8" else (pixels.mean(axis=(1, 2)) / 255 - 0.5) / 0.5
    found = Predictions.load(tmp_path / "out" / "e.parquet")
    np.testing.assert_allclose(found.scores, -np.sort(-means, axis=1), rtol=1e-4, atol=1e-5)


def test_a_free_axis_is_free_however_it_is_written(tmp_path: Path) -> None:
    model = onnx.load(write_linear(tmp_path / "theirs.onnx", shape=(2, 3, 4, 6)))
    for axis, written in ((0, -1), (2, 0)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = written
    onnx.save(model, tmp_path / "theirs.onnx")
    assert read_facts(load_graph(tmp_path / "theirs.onnx")).input.shape == (None, 3, None, 6)


def test_nodes_in_any_order_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as onnxruntime's conversion to float16 writes them; onnxruntime runs them."""
    monkeypatch.chdir(tmp_path)
    write_linear(tmp_path / "theirs.onnx", first=[("Sub", [0.5]), ("Div", [0.25])])
    model = onnx.load(tmp_path / "theirs.onnx")
    ordered = [node.output[0] for node in model.graph.node]
    nodes = list(reversed(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "theirs.onnx")
    assert [node.output[0] for node in load_graph(tmp_path / "theirs.onnx").graph.node] == ordered
    (tmp_path / "card.toml").write_text(CARD)
    assert compile_to("e", "onnxruntime", "--recipe", "card.toml") == 0
    # A circle stays a circle.
    model.graph.node[-1].input[0] = model.graph.node[0].output[0]
    onnx.save(model, tmp_path / "theirs.onnx")
    with pytest.raises(RefusedFile, match="topologically sorted"):
        load_graph(tmp_path / "theirs.onnx")


def test_weights_that_a_normalisation_standardises_are_no_training_mode(tmp_path: Path) -> None:
    """As torch exports the standardised convolutions of BiT."""
    model = onnx.load(write_linear(tmp_path / "theirs.onnx"))
    ones = onnx.numpy_helper.from_array(np.ones(3, dtype=np.float32), "ones")
    kernel = onnx.numpy_helper.from_array(np.ones((1, 3, 2, 2), dtype=np.float32), "kernel")
    model.graph.initializer.extend([ones, kernel])
    outputs = ["standard", "mean", "variance"]
    node = onnx.helper.make_node("BatchNormalization", ["kernel", *["ones"] * 4], outputs, training_mode=1)
    model.graph.node.insert(0, node)
    model.opset_import[0].version = 15
    check_inference(model, "theirs.onnx")
    node.input[0] = "pixels"
    model.graph.node[0].CopyFrom(node)
    with pytest.raises(RefusedFile, match="was exported in training mode"):
        check_inference(model, "theirs.onnx")
