from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.export.count_work import count_work
from seatrial.export.fuse_preprocess import PREFIX
from seatrial.store.records import GraphManifest, TensorSpec


def image(*shape: int | None) -> TensorSpec:
    return TensorSpec(name="x", dtype="float32", shape=shape, layout="NCHW")


def weight(name: str, *dims: int, kind: int = TensorProto.FLOAT) -> TensorProto:
    """Of zeros, whatever the type."""
    data = bytes(helper.tensor_dtype_to_np_dtype(kind).itemsize * int(np.prod(dims)))
    return helper.make_tensor(name, kind, dims, data, raw=True)


def make(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[TensorProto],
    shape: Sequence[int | str] = ("batch", 3, 8, 8),
    opset: int = 17,
) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "graph", [given], [found], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def test_convolutions_and_linear_layers_are_counted_by_their_definition() -> None:
    sizes = numpy_helper.from_array(np.array([0, -1], np.int64), "sizes")
    model = make(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["a", "w2"], ["b"], group=6, pads=[1, 1, 1, 1]),
            helper.make_node("ConvTranspose", ["b", "w3"], ["c"], strides=[2, 2]),
            helper.make_node("Reshape", ["c", "sizes"], ["d"]),
            helper.make_node("Gemm", ["d", "w4", "b4"], ["e"], transB=1),
            helper.make_node("MatMul", ["e", "w5"], ["f"]),
            helper.make_node("Mul", ["f", "half"], ["y"]),
        ],
        [
            *(weight("w1", 6, 3, 3, 3), weight("b1", 6), weight("w2", 6, 1, 3, 3), weight("w3", 6, 2, 2, 2), sizes),
            *(weight("w4", 5, 2 * 8 * 8), weight("b4", 5), weight("w5", 5, 7), weight("half", 1), weight("unused", 99)),
        ],
    )
    work = count_work(model, image(None, 3, 8, 8))
    convolutions = 6 * 4 * 4 * 3 * 9 + 6 * 4 * 4 * 9 + 6 * 4 * 4 * 2 * 4
    assert work.macs == convolutions + 5 * 128 + 7 * 5
    assert work.parameters == 6 * 27 + 6 + 6 * 9 + 6 * 8 + 5 * 128 + 5 + 35
    assert work.source.endswith("Conv, ConvTranspose, Gemm and MatMul nodes at 3×8×8")
    assert work.fields.keys() <= GraphManifest.model_fields.keys()


@pytest.mark.parametrize("batch", [None, 4])
def test_what_is_computed_of_weights_alone_is_no_work_of_an_image(batch: int | None) -> None:
    model = make(
        [
            helper.make_node("MatMul", ["w1", "w2"], ["made"]),
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "made"], ["y"]),
        ],
        [weight("w1", 192, 7), weight("w2", 7, 10)],
    )
    assert count_work(model, image(batch, 3, 8, 8)).macs == 192 * 10


def test_attention_counts_its_products_of_activations() -> None:
    model = make(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
            helper.make_node("MatMul", ["x", "t"], ["a"]),
            helper.make_node("MatMul", ["a", "x"], ["y"]),
        ],
        [],
        ("batch", 2, 5, 4),
    )
    assert count_work(model, image(None, 2, 5, 4)).macs == 2 * (5 * 5 * 4 + 5 * 4 * 5)


def test_a_fixed_batch_is_counted_as_one_image_and_gemm_may_transpose() -> None:
    model = make(
        [helper.make_node("Flatten", ["x"], ["a"]), helper.make_node("Gemm", ["a", "w"], ["y"])],
        [weight("w", 192, 10)],
        (4, 3, 8, 8),
    )
    assert count_work(model, image(4, 3, 8, 8)).macs == 1920
    turned = make(
        [
            helper.make_node("Flatten", ["x"], ["a"]),
            helper.make_node("Transpose", ["a"], ["b"]),
            helper.make_node("Gemm", ["b", "w"], ["y"], transA=1),
        ],
        [weight("w", 192, 10)],
    )
    assert count_work(turned, image(None, 3, 8, 8)).macs == 1920


def test_quantised_weights_count_and_their_scales_do_not() -> None:
    model = make(
        [
            helper.make_node("DequantizeLinear", ["q", "scales", "zeros"], ["w"], axis=0),
            helper.make_node("Conv", ["x", "w"], ["y"]),
        ],
        [
            weight("q", 6, 3, 1, 1, kind=TensorProto.INT8),
            weight("scales", 6),
            weight("zeros", 6, kind=TensorProto.INT8),
        ],
    )
    work = count_work(model, image(None, 3, 8, 8))
    assert (work.parameters, work.macs) == (18, 18 * 64)


def test_fused_preprocessing_is_no_part_of_the_network() -> None:
    model = make(
        [
            helper.make_node("Conv", ["x", "colours"], ["a"], name=f"{PREFIX}colours"),
            helper.make_node("Conv", ["a", "w"], ["y"]),
        ],
        [weight("colours", 3, 3, 1, 1), weight("w", 6, 3, 1, 1)],
    )
    work = count_work(model, image(None, 3, 8, 8))
    assert (work.parameters, work.macs) == (18, 18 * 64)


@pytest.mark.parametrize("kind", ["custom", "einsum", "unknown shape", "inside"])
def test_what_cannot_be_counted_is_not_guessed(kind: str) -> None:
    weights = [weight("w", 192, 10), numpy_helper.from_array(np.array(True), "yes")]
    flat = helper.make_node("Flatten", ["x"], ["a"])
    inner = helper.make_graph(
        [helper.make_node("MatMul", ["a", "w"], ["i"])],
        "inner",
        [],
        [helper.make_tensor_value_info("i", TensorProto.FLOAT, None)],
    )
    nodes = {
        "custom": [flat, helper.make_node("Mystery", ["a", "w"], ["y"], domain="ours")],
        "einsum": [flat, helper.make_node("Einsum", ["a", "w"], ["y"], equation="nk,kc->nc")],
        "unknown shape": [
            flat,
            helper.make_node("Twist", ["a"], ["b"], domain="ours"),
            helper.make_node("MatMul", ["b", "w"], ["y"]),
        ],
        "inside": [flat, helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)],
    }
    work = count_work(make(nodes[kind], weights), image(None, 3, 8, 8))
    assert work.macs is None


def make_resnet50() -> onnx.ModelProto:
    """ResNet-50 v1.5 (https://arxiv.org/abs/1512.03385, the stride in the 3×3 convolution), BatchNorm folded."""
    nodes: list[onnx.NodeProto] = []
    weights: list[TensorProto] = []

    def convolve(name: str, given: str, out: int, into: int, size: int, stride: int = 1) -> str:
        weights.append(TensorProto(name=f"{name}.w", data_type=TensorProto.FLOAT, dims=[out, into, size, size]))
        weights.append(TensorProto(name=f"{name}.b", data_type=TensorProto.FLOAT, dims=[out]))
        pads = [size // 2] * 4
        nodes.append(
            helper.make_node("Conv", [given, f"{name}.w", f"{name}.b"], [name], strides=[stride] * 2, pads=pads)
        )
        return name

    last = convolve("stem", "x", 64, 3, 7, 2)
    nodes.append(helper.make_node("MaxPool", [last], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    last, into = "pool", 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            name, stride = f"{stage}.{block}", 2 if stage and not block else 1
            side = last if block else convolve(f"{name}.side", last, 4 * width, into, 1, stride)
            inner = convolve(f"{name}.1", last, width, into, 1)
            inner = convolve(f"{name}.2", inner, width, width, 3, stride)
            inner = convolve(f"{name}.3", inner, 4 * width, width, 1)
            last, into = f"{name}.sum", 4 * width
            nodes.append(helper.make_node("Add", [side, inner], [last]))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "fc.w", "fc.b"], ["y"], transB=1))
    weights.append(TensorProto(name="fc.w", data_type=TensorProto.FLOAT, dims=[1000, 2048]))
    weights.append(TensorProto(name="fc.b", data_type=TensorProto.FLOAT, dims=[1000]))
    return make(nodes, weights, ("batch", 3, 224, 224))


def test_resnet50_has_its_published_size() -> None:
    work = count_work(make_resnet50(), image(None, 3, 224, 224))
    assert work.macs == 4_089_184_256
    # Of torchvision's 25,557,032 each BatchNorm's two numbers a channel are one bias now.
    assert work.parameters == 25_557_032 - 26_560
