from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnx_graphs import write_linear
from seatrial.errors import RefusedFile
from seatrial.models.onnx_file import check_inference, hash_onnx

NORMALISE = ["x", "scale", "bias", "mean", "var"]


def make_model(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    image = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 4, 4])
    return helper.make_model(helper.make_graph(nodes, "net", [image], [], stored))


def make_constant(name: str, value: bool) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value)))


@pytest.mark.parametrize(
    ("nodes", "what"),
    [
        ([helper.make_node("Dropout", ["x"], ["y"])], None),
        ([helper.make_node("Dropout", ["x", "share"], ["y"])], None),
        ([helper.make_node("Dropout", ["x", "share", "no"], ["y"])], None),
        # What decides it comes from outside: the graph does not say that it trains.
        ([helper.make_node("Dropout", ["x", "share", "given"], ["y"])], None),
        ([helper.make_node("Dropout", ["x", "share", "yes"], ["y"])], "Dropout 'y'"),
        (
            [make_constant("on", True), helper.make_node("Dropout", ["x", "share", "on"], ["y"], name="d")],
            "Dropout 'd'",
        ),
        ([make_constant("off", False), helper.make_node("Dropout", ["x", "share", "off"], ["y"])], None),
        ([helper.make_node("BatchNormalization", NORMALISE, ["y"])], None),
        ([helper.make_node("BatchNormalization", NORMALISE, ["y"], training_mode=0)], None),
        ([helper.make_node("BatchNormalization", NORMALISE, ["y"], training_mode=1)], "BatchNormalization 'y'"),
        # Before opset 14 only its other outputs show it.
        ([helper.make_node("BatchNormalization", NORMALISE, ["y", "", ""])], None),
        ([helper.make_node("BatchNormalization", NORMALISE, ["y", "mean2"])], "BatchNormalization 'y'"),
    ],
)
def test_a_node_that_trains_is_named(nodes: list[onnx.NodeProto], what: str | None) -> None:
    model = make_model(nodes, share=np.array(0.5, np.float32), no=np.array(False), yes=np.array(True))
    if what is None:
        check_inference(model, "net.onnx")
        return
    with pytest.raises(
        RefusedFile, match=f"net.onnx was exported in training mode: its {what} computes from the batch"
    ):
        check_inference(model, "net.onnx")


def write_outside(folder: Path) -> Path:
    """A graph with its weights in `data.bin` beside it."""
    folder.mkdir(parents=True)
    return write_linear(folder / "model.onnx", outside="data.bin")


def test_weights_behind_a_link_that_leaves_the_folder_are_refused(tmp_path: Path) -> None:
    """onnx follows none when it loads them; who hashed or copied the file did."""
    path = write_outside(tmp_path / "graph")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "graph" / "data.bin").rename(tmp_path / "elsewhere" / "data.bin")
    (tmp_path / "graph" / "data.bin").symlink_to(tmp_path / "elsewhere" / "data.bin")
    with pytest.raises(RefusedFile, match=r"model\.onnx keeps weights in 'data\.bin', which is outside its folder"):
        hash_onnx(path)


def test_a_graph_and_weights_that_are_links_into_one_folder_are_a_downloads_cache(tmp_path: Path) -> None:
    path = write_outside(tmp_path / "blobs")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in (path.name, "data.bin"):
        (snapshot / name).symlink_to(path.with_name(name))
    assert hash_onnx(snapshot / path.name) == hash_onnx(path)


def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path) -> None:
    path = write_linear(tmp_path / "model.onnx")
    model = onnx.load(path)
    weights = model.graph.initializer[0]
    weights.data_location = onnx.TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "a" * 3000
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RefusedFile, match=r"keeps weights in a{80}…, which is missing; put"):
        hash_onnx(path)
