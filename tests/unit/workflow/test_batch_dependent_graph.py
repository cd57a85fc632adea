"""Graphs that were exported in training mode, in onnxruntime: refused by what they say, or by what they answer."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from seatrial.cli import run_cli
from seatrial.store.records import AccuracyRecord

CARD = """\
name = "small"
title = "Small"
preprocess = [{ step = "center_crop", size = [4, 6] }, { step = "to_float" }]
[network]
name = "fake"
classes = 3
"""
CLASSES, COUNT = 3, 30


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty images, ten mostly red, ten green, ten blue, in class folders, and the card."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for row in range(COUNT):
        pixels = rng.integers(0, 128, (4, 6, 3), dtype=np.uint8)
        pixels[..., row * CLASSES // COUNT] += 100
        path = tmp_path / "val" / f"{row * CLASSES // COUNT}" / f"{row:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "card.toml").write_text(CARD)
    return tmp_path


def write_graph(path: Path, nodes: list[onnx.NodeProto], **constants: np.ndarray) -> None:
    """A graph from `pixels`, through nodes that give `maps`, to the means of these as logits."""
    last = helper.make_node("ReduceMean", ["maps"], ["scores"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph(
        [*nodes, last],
        "means",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 4, 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


ONES, ZEROS = np.ones(3, np.float32), np.zeros(3, np.float32)
STATISTICS = {"scale": ONES, "bias": ZEROS, "mean": np.full(3, 0.4, np.float32), "var": np.full(3, 0.1, np.float32)}
NORMALISE = ["pixels", "scale", "bias", "mean", "var"]


def compile_and_evaluate(graph: str, *more: str) -> tuple[int, int]:
    engine = graph.removesuffix(".onnx")
    compiled = run_cli(["compile", graph, "--recipe", "card.toml", "--engine", "onnxruntime", "--output", engine])
    return compiled, compiled or run_cli(["evaluate", engine, "--images", "val", "--output", "out", *more])


def test_normalisation_by_stored_statistics_is_sound(here: Path) -> None:
    node = helper.make_node("BatchNormalization", NORMALISE, ["maps"])
    write_graph(here / "sound.onnx", [node], **STATISTICS)
    assert compile_and_evaluate("sound.onnx", "--batch-size", "16") == (0, 0)
    record = AccuracyRecord.load(here / "out" / "sound.json")
    assert record.accuracy() == 1 and record.batch_distance is not None and record.batch_distance < 1e-6


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("BatchNormalization", NORMALISE, ["maps", "m", "v"], training_mode=1, name="bn1"),
        helper.make_node("Dropout", ["pixels", "ratio", "on"], ["maps"], name="drop"),
    ],
    ids=["BatchNormalization", "Dropout"],
)
def test_a_graph_that_says_that_it_trains_is_refused_when_it_is_compiled(
    node: onnx.NodeProto, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constants = {"ratio": np.array(0.5, np.float32), "on": np.array(True)} if node.name == "drop" else STATISTICS
    write_graph(here / "trains.onnx", [node], **constants)
    assert compile_and_evaluate("trains.onnx")[0] == 8
    told = f"trains.onnx was exported in training mode: its {node.op_type} '{node.name}' computes from"
    assert told in capsys.readouterr().err
    assert not (here / "trains.onnx.json").exists()


def test_a_dropout_that_is_off_is_none(here: Path) -> None:
    node = helper.make_node("Dropout", ["pixels", "ratio", "on"], ["maps"])
    write_graph(here / "drop.onnx", [node], ratio=np.array(0.5, np.float32), on=np.array(False))
    assert compile_and_evaluate("drop.onnx") == (0, 0)


@pytest.mark.parametrize("batch_size", ["2", "16", "30"])
def test_a_graph_whose_predictions_depend_on_the_batch_is_refused_before_the_set_is_run(
    batch_size: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exporters write the same normalisation as plain arithmetic, too, which says nothing of itself."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["own"], axes=[0, 2, 3], keepdims=1),
        helper.make_node("Sub", ["pixels", "own"], ["maps"]),
    ]
    write_graph(here / "batch.onnx", nodes)
    assert compile_and_evaluate("batch.onnx", "--batch-size", batch_size) == (0, 3)
    told = capsys.readouterr().err
    assert "the logits of an image depend on its batch: relative error" in told
    assert "above the floor of 1.0e-04" in told and "export the network after model.eval()" in told
    assert not (here / "out" / "batch.json").exists() and "images/s" not in told
