"""A two-class int8 network in onnxruntime: its few distinct logits are no reason to accuse it."""

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
classes = 2
"""
COUNT = 1200


def write_two_classes(path: Path, step: float) -> None:
    """How red and how blue an image is, in int8 all the way: weights, pixels and, in steps of `step`, the logits."""
    constants = {
        "weights": np.array([[100, 0, -100], [-100, 0, 100]], np.int8).reshape(2, 3, 1, 1),
        "w_scale": np.float32(0.2),
        "x_scale": np.float32(1 / 255),
        "y_scale": np.float32(step),
        "zero": np.uint8(0),
        "m_scale": np.float32(0.25),
        "middle": np.uint8(128),
        "none": np.int8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["pixels", "x_scale", "zero"], ["x8"]),
        helper.make_node("DequantizeLinear", ["x8", "x_scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "w_scale", "none"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["wide"], name="conv"),
        helper.make_node("QuantizeLinear", ["wide", "m_scale", "middle"], ["m8"]),
        helper.make_node("DequantizeLinear", ["m8", "m_scale", "middle"], ["maps"]),
        helper.make_node("ReduceMean", ["maps"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("QuantizeLinear", ["means", "y_scale", "middle"], ["y8"]),
        helper.make_node("DequantizeLinear", ["y8", "y_scale", "middle"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 4, 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,200 images, every second one red, the others blue, some hardly so."""
    here, rng = tmp_path_factory.mktemp("two"), np.random.default_rng(0)
    (here / "val").mkdir()
    lines = []
    for row in range(COUNT):
        pixels = rng.integers(0, 100, (4, 6, 3), dtype=np.uint8)
        pixels[..., 2 * (row % 2)] += rng.integers(40, 150, dtype=np.uint8)
        Image.fromarray(pixels).save(here / "val" / f"{row:04d}.png")
        lines.append(f"{row:04d}.png {row % 2}\n")
    (here / "labels.txt").write_text("".join(lines))
    (here / "card.toml").write_text(CARD)
    return here


@pytest.mark.parametrize("step", [0.25, 2.0])
def test_a_sound_network_with_few_distinct_logits_passes(step: float, folder: Path, tmp_path: Path) -> None:
    graph, engine = tmp_path / "two.onnx", tmp_path / "two"
    write_two_classes(graph, step)
    words = ["compile", str(graph), "--recipe", str(folder / "card.toml"), "--engine", "onnxruntime"]
    assert run_cli([*words, "--precision", "int8", "--output", str(engine)]) == 0
    words = ["evaluate", str(engine), "--images", str(folder / "val"), "--labels", str(folder / "labels.txt")]
    assert run_cli([*words, "--output", str(tmp_path / "out")]) == 0
    record = AccuracyRecord.load(tmp_path / "out" / "two.json")
    assert (record.images, record.precision) == (COUNT, "int8") and record.accuracy() > 0.97
