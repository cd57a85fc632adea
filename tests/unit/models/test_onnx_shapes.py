"""Sizes inside graphs, and the sizes of images that a graph does not take, worked out by hand."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.models.onnx_shapes import copy_without_weights, explain_size, find_large_kernel, infer_shapes


def make(*nodes: onnx.NodeProto, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """A graph from `image` (batch, 3, height, width) to the last node's output."""
    ends = [
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
    ]
    constants = [numpy_helper.from_array(np.ones(dims, np.float32), name) for name, dims in weights.items()]
    graph = helper.make_graph(list(nodes), "g", *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def conv(**attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", ["image", "w"], ["c"], name="stem", **attributes)


def test_sizes_follow_from_the_images() -> None:
    model = make(conv(strides=[2, 2]), w=(4, 3, 3, 3))
    assert infer_shapes(copy_without_weights(model), (2, 3, 9, 7)) == {
        "w": (4, 3, 3, 3),
        "image": (2, 3, 9, 7),
        "c": (2, 4, 4, 3),
    }
    assert model.graph.input[0].type.tensor_type.shape.dim[2].dim_param == "height", "the graph itself is left alone"


@pytest.mark.parametrize(
    ("model", "size", "told"),
    [
        (make(conv(), w=(4, 3, 7, 7)), (4, 9), "the kernel of Conv 'stem' is 7 × 7, and its input, padded, 4 × 9"),
        (make(conv(), w=(4, 3, 7, 7)), (7, 7), None),
        (make(conv(pads=[1, 1, 2, 2]), w=(4, 3, 7, 7)), (4, 4), None),
        (make(conv(pads=[1, 1, 1, 1]), w=(4, 3, 7, 7)), (4, 4), "is 7 × 7, and its input, padded, 6 × 6"),
        (make(conv(dilations=[2, 2]), w=(4, 3, 3, 3)), (4, 4), "is 5 × 5, and its input, padded, 4 × 4"),
        (make(conv(auto_pad="SAME_UPPER"), w=(4, 3, 7, 7)), (4, 4), None),
        (
            make(helper.make_node("MaxPool", ["image"], ["p"], kernel_shape=[3, 2], ceil_mode=1)),
            (2, 2),
            "the kernel of MaxPool 'p' is 3 × 2, and its input, padded, 2 × 2",
        ),
        (
            make(
                helper.make_node("Flatten", ["image"], ["f"]),
                helper.make_node("Gemm", ["f", "w"], ["y"], name="head"),
                w=(48, 2),
            ),
            (5, 4),
            "(op_type:Gemm, node name: head): Dimension mismatch in unification between 48 and 60",
        ),
        (make(helper.make_node("Flatten", ["image"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"]), w=(48, 2)),
         (4, 4), None),
    ],
)  # fmt: skip
def test_why_images_are_too_small(model: onnx.ModelProto, size: tuple[int, int], told: str | None) -> None:
    found = explain_size(model, (1, 3, *size))
    assert found is None if told is None else told in (found or "")


@pytest.mark.parametrize(("stride", "fits"), [(1, False), (2, True)])
def test_a_pooling_that_rounds_up_may_reach_past_its_input(stride: int, fits: bool) -> None:
    pool = {"kernel_shape": [3, 3], "strides": [stride] * 2, "ceil_mode": 1}
    model = make(helper.make_node("AveragePool", ["image"], ["p"], name="pool", **pool))
    told = "the kernel of AveragePool 'pool' is 3 × 3, and its input, padded, 2 × 2"
    assert find_large_kernel(model, (1, 3, 2, 2)) == (None if fits else told)
    assert explain_size(model, (1, 3, 2, 2)) == told
