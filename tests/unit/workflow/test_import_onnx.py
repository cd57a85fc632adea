from pathlib import Path

import numpy as np
import onnx
import pytest

from fake_engine import make_recipe
from seatrial.cli import run_cli
from seatrial.engines import get_engine
from seatrial.engines.base import read_engine
from seatrial.errors import RefusedFile, UsageError
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
    assert run_cli(["compile", "theirs.onnx", "--recipe", "card.toml", "--engine", "onnxruntime", "--output", "e"]) == 2
    assert run_cli(["compile", "theirs.onnx", "--engine", "torch", "--output", "t"]) == 2


@pytest.mark.parametrize(
    ("graph", "error", "words"),
    [
        ({"size": (6, 4)}, UsageError, "takes N×3×6×4, and small gives images of 4×6; give its own --recipe"),
        ({"classes": 9}, UsageError, "has 9 classes, small 3"),
        ({"layout": "NHWC"}, RefusedFile, "takes float images channels last"),
    ],
)
def test_a_graph_of_another_network_is_refused(
    graph: dict[str, object], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        import_graph(write_means(tmp_path / "theirs.onnx", **graph), RECIPE)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.onnx"]
