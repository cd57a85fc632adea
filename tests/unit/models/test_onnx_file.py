import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from seatrial.errors import RefusedFile
from seatrial.models.onnx_file import check_inference

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
