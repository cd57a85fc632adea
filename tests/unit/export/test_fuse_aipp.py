"""AIPP in a graph: against its definition in numpy, against the card's own tail, in two engines, on photographs."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import sklearn.datasets
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from seatrial.data.preprocessing.aipp import CELLS, Aipp, load_aipp, parse_aipp
from seatrial.data.preprocessing.apply_aipp import apply_aipp, fit_aipp, input_shape
from seatrial.data.preprocessing.yuv import unpack_yuv420sp
from seatrial.errors import UsageError
from seatrial.export.fuse_aipp import fuse_aipp
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.models.onnx_file import read_facts
from seatrial.recipes.schema import Network, Recipe
from seatrial.recipes.steps import CenterCrop, Normalise, ToFloat
from yuv_pictures import to_yuv420sp

GOLDEN = Path(__file__).parents[2] / "golden" / "aipp"
PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / "images"
JPEG_MATRIX = dict(zip(CELLS, (256, 0, 359, 256, -88, -183, 256, 454, 0), strict=True))
JPEG = {"csc_switch": True, **JPEG_MATRIX, "input_bias_0": 0, "input_bias_1": 128, "input_bias_2": 128}
WINDOW = {"src_image_size_w": 20, "src_image_size_h": 16, "crop": True, "load_start_pos_w": 6, "load_start_pos_h": 2}
NORMAL = {"mean_chn_0": 3, "min_chn_0": 120.5, "min_chn_2": 99, "var_reci_chn_0": 0.017, "var_reci_chn_1": -0.02}
BORDER = {"padding": True, "padding_value": 0.5, "left_padding_size": 2, "bottom_padding_size": 3}


def configure(kind: str, **fields: object) -> Aipp:
    lines = [f"{name} : {str(value).lower()}" for name, value in fields.items()]
    return parse_aipp(" ".join(["aipp_op { aipp_mode : static input_format :", kind, *lines, "}"]), "test")


def build(
    nodes: list[onnx.NodeProto], shape: list[int | str], opset: int, **weights: NDArray[np.float32]
) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "class")]
    if weights:
        ends[1] = helper.make_tensor_value_info("class", TensorProto.FLOAT, [shape[0], 10])
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def identity(
    height: int, width: int, channels: int = 3, opset: int = 11, batch: int | str = "batch"
) -> onnx.ModelProto:
    """A network that answers with what it is given."""
    return build([helper.make_node("Identity", ["image"], ["class"])], [batch, channels, height, width], opset)


def classifier() -> onnx.ModelProto:
    """One convolution, pooling and a linear layer at 224×224."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], strides=[8, 8]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "linear"], ["class"]),
    ]
    kernel, linear = rng.standard_normal((16, 3, 8, 8)), rng.standard_normal((16, 10))
    weights = {"kernel": kernel.astype(np.float32) / 14, "linear": linear.astype(np.float32)}
    return build(nodes, ["batch", 3, 224, 224], 11, **weights)


def run_onnxruntime(model: onnx.ModelProto, batch: NDArray[np.generic]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run(None, {"image": batch})[0]
    return logits


def run_openvino(model: onnx.ModelProto, batch: NDArray[np.generic], precision: str = "f32") -> NDArray[np.float32]:
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    return np.array(compiled([batch])[0])


def draw(config: Aipp, size: tuple[int, int], count: int = 3) -> NDArray[np.uint8]:
    shape = (count, *input_shape(config, fit_aipp(config, size)))
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


CONFIGURATIONS = {
    "rgb": configure("RGB888_U8", **NORMAL),
    "bgr cropped": configure("RGB888_U8", rbuv_swap_switch=True, **WINDOW, **NORMAL),
    "rgb to yuv": configure("RGB888_U8", csc_switch=True, **WINDOW),
    "bgr to yuv": configure("RGB888_U8", csc_switch=True, rbuv_swap_switch=True, **WINDOW),
    "xrgb": configure("XRGB8888_U8", ax_swap_switch=True, **WINDOW, **NORMAL),
    "rgbx": configure("XRGB8888_U8"),
    "xbgr to yuv": configure("XRGB8888_U8", csc_switch=True, ax_swap_switch=True, rbuv_swap_switch=True),
    "nv12": configure("YUV420SP_U8", **JPEG, **NORMAL),
    "nv21 cropped": configure("YUV420SP_U8", rbuv_swap_switch=True, **JPEG, **WINDOW, **NORMAL),
    "nv12 to bgr by default": configure("YUV420SP_U8", csc_switch=True, **WINDOW),
    "nv12 unconverted": configure("YUV420SP_U8", **WINDOW),
    "nv21 unconverted": configure("YUV420SP_U8", rbuv_swap_switch=True, **NORMAL),
    "bordered": configure(
        "YUV420SP_U8", **JPEG, **(WINDOW | {"crop_size_w": 10, "crop_size_h": 8}), **BORDER, **NORMAL
    ),
    "largest numbers": configure("YUV420SP_U8", csc_switch=True, **dict.fromkeys(CELLS, 32767)),
    "smallest numbers": configure("YUV420SP_U8", csc_switch=True, **dict.fromkeys(CELLS, -32768)),
}


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_graph_is_the_definition(name: str, opset: int) -> None:
    config = CONFIGURATIONS[name]
    size = (11, 12) if config.padding else (12, 12)
    batch = draw(config, size)
    wanted = apply_aipp(batch, config, size)
    assert len(np.unique(wanted)) > 2 or name.endswith("numbers")
    model = fuse_aipp(identity(*size, opset=opset), config)
    np.testing.assert_array_equal(run_onnxruntime(model, batch), wanted)
    # OpenVINO subtracts and multiplies in one step, which rounds once; whole numbers are exact there too.
    whole = (wanted == np.round(wanted)).all()
    np.testing.assert_allclose(run_openvino(model, batch), wanted, rtol=0, atol=0 if whole else 1e-6)


def test_grey() -> None:
    config = configure("YUV400_U8", **WINDOW, mean_chn_0=100)
    batch = draw(config, (12, 12))
    model = fuse_aipp(identity(12, 12, channels=1), config)
    np.testing.assert_array_equal(run_onnxruntime(model, batch), apply_aipp(batch, config, (12, 12)))
    assert read_facts(model).input.layout == "NHWC"


@pytest.mark.parametrize("name", ["bgr cropped", "nv21 cropped", "nv12 unconverted"])
def test_a_grey_network_takes_the_first_channel(name: str) -> None:
    config = CONFIGURATIONS[name]
    batch = draw(config, (12, 12))
    model = fuse_aipp(identity(12, 12, channels=1), config)
    np.testing.assert_array_equal(run_onnxruntime(model, batch), apply_aipp(batch, config, (12, 12))[:, :1])


def test_guides_rgb_file_is_the_cards_tail_behind_a_crop() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    steps = (
        CenterCrop(step="center_crop", size=(224, 224)),
        ToFloat(step="to_float"),
        Normalise(step="normalise", mean=mean, std=std),
    )
    recipe = Recipe(name="trial", title="A trial", network=Network(name="any", classes=10), preprocess=steps)
    config = load_aipp(GOLDEN / "aipp_resnet50.aippconfig")
    network = classifier()
    batch = draw(config, (224, 224))
    ours = fuse_aipp(network, config)
    cropped = np.ascontiguousarray(batch[:, 16:240, 16:240])
    card = run_onnxruntime(fuse_preprocess(network, recipe), cropped)
    np.testing.assert_allclose(run_onnxruntime(ours, batch), card, rtol=0, atol=1e-5)
    np.testing.assert_allclose(run_openvino(ours, batch), card, rtol=0, atol=1e-5)
    assert np.ptp(card) > 0.1


def test_guides_yuv_file() -> None:
    config = load_aipp(GOLDEN / "aipp_resnext50_pth.config")
    network, size = classifier(), (224, 224)
    batch = np.stack([to_yuv420sp(read(name), (256, 256), nv21=True) for name in ("china", "flower")])[..., None]
    wanted = run_onnxruntime(network, apply_aipp(batch, config, size))
    fused = fuse_aipp(network, config)
    np.testing.assert_array_equal(run_onnxruntime(fused, batch), wanted)
    np.testing.assert_allclose(run_openvino(fused, batch), wanted, rtol=0, atol=1e-5)


def test_lower_precision_does_not_reach_the_colours() -> None:
    """In bf16, where 359 is no number, the fused graph answers what the network alone does on the right colours."""
    config = load_aipp(GOLDEN / "aipp_resnext50_pth.config")
    batch = to_yuv420sp(read("flower"), (256, 256), nv21=True)[None, ..., None]
    alone = run_openvino(classifier(), apply_aipp(batch, config, (224, 224)), "bf16")
    np.testing.assert_allclose(run_openvino(fuse_aipp(classifier(), config), batch, "bf16"), alone, atol=1e-6)


def read(name: str) -> bytes:
    return (PHOTOGRAPHS / f"{name}.jpg").read_bytes()


def paint_waves() -> Image.Image:
    y, x = np.mgrid[0:256, 0:256] / 256
    angles = np.stack([6 * x + 2 * y, 5 * y + 1, 4 * x - 3 * y], axis=2)
    return Image.fromarray((127.5 + 127.5 * np.sin(angles)).astype(np.uint8))


def paint_hues() -> Image.Image:
    """Every hue at full saturation, from black to full brightness."""
    y, x = np.mgrid[0:256, 0:256].astype(np.uint8)
    return Image.merge("HSV", [Image.fromarray(plane) for plane in (x, np.full_like(x, 255), y)]).convert("RGB")


PICTURES: dict[str, tuple[Callable[[], bytes | Image.Image], float, int]] = {
    # Mean and largest difference from Pillow's RGB, which has a colour for every pixel and not for four.
    "china": (lambda: read("china"), 2.0, 48),
    "flower": (lambda: read("flower"), 2.0, 48),
    "waves": (paint_waves, 1.5, 8),
    "hues": (paint_hues, 1.0, 8),
}


@pytest.mark.parametrize("nv21", [False, True], ids=["nv12", "nv21"])
@pytest.mark.parametrize("name", PICTURES)
def test_photographs(name: str, nv21: bool) -> None:
    """The colour arithmetic alone is within 1 of Pillow's, on average 0.06; confusing U and V is 8 times worse."""
    make, mean, largest = PICTURES[name]
    picture = make()
    size = 256, 256
    batch = to_yuv420sp(picture, size, nv21)[None, ..., None]
    fused = {
        swap: fuse_aipp(identity(*size), configure("YUV420SP_U8", rbuv_swap_switch=swap, **JPEG))
        for swap in (False, True)
    }
    right, wrong = (run_onnxruntime(fused[swap], batch)[0].transpose(1, 2, 0) for swap in (nv21, not nv21))
    np.testing.assert_array_equal(run_openvino(fused[nv21], batch)[0].transpose(1, 2, 0), right)

    unpacked = unpack_yuv420sp(batch)[0][..., [0, 2, 1] if nv21 else [0, 1, 2]]
    same = np.abs(right - np.asarray(Image.fromarray(np.ascontiguousarray(unpacked), "YCbCr").convert("RGB")))
    assert same.max() <= 1
    assert same.mean() <= 0.06

    image = Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else picture
    rgb = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    difference = np.abs(right - rgb)
    assert difference.mean() <= mean
    assert difference.max() <= largest
    assert np.abs(wrong - rgb).mean() > 8 * difference.mean()


def test_every_colour_is_within_one_of_pillows() -> None:
    """Y, U and V in steps of 5 and both ends, most of them outside RGB: 140,608 colours."""
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    y, u, v = (plane.reshape(-1) for plane in np.meshgrid(steps, steps, steps))
    # Each colour takes 2×2 pixels.
    batch = np.stack([np.concatenate([np.tile(y.repeat(2), 2), np.stack([u, v], axis=1).reshape(-1)])])
    model = fuse_aipp(identity(2, 2 * len(y)), configure("YUV420SP_U8", **JPEG))
    ours = run_onnxruntime(model, batch.reshape(1, 3, -1, 1))[0, :, 0, ::2].T
    pillows = Image.fromarray(np.stack([y, u, v], axis=1)[None], "YCbCr").convert("RGB")
    assert np.abs(ours - np.asarray(pillows)[0]).max() <= 1


@pytest.mark.parametrize("nv21", [False, True])
def test_red_is_red_only_in_the_right_order(nv21: bool) -> None:
    batch = to_yuv420sp(Image.new("RGB", (4, 4), "red"), None, nv21)[None, ..., None]
    for swap, colour in ((nv21, (254, 0, 0)), (not nv21, (14, 63, 255))):
        model = fuse_aipp(identity(4, 4), configure("YUV420SP_U8", rbuv_swap_switch=swap, **JPEG))
        np.testing.assert_allclose(run_onnxruntime(model, batch)[0, :, 0, 0], colour, atol=3)


@pytest.mark.parametrize(("batch", "size"), [("batch", None), (2, 2)])
def test_batch_axis_is_kept(batch: int | str, size: int | None) -> None:
    model = fuse_aipp(identity(12, 12, batch=batch), CONFIGURATIONS["nv21 cropped"])
    facts = read_facts(model)
    assert facts.input.model_dump() == {
        "name": "image",
        "dtype": "uint8",
        "shape": (size, 24, 20, 1),
        "layout": "YUV420SP",
    }
    assert facts.output.shape == (size, 3, 12, 12)
    for count in (1, 5) if size is None else (size,):
        pixels = draw(CONFIGURATIONS["nv21 cropped"], (12, 12), count)
        assert run_onnxruntime(model, pixels).shape == run_openvino(model, pixels).shape == (count, 3, 12, 12)


@pytest.mark.parametrize(("name", "shape"), [("rgb", (None, 12, 12, 3)), ("xrgb", (None, 16, 20, 4))])
def test_packed_inputs_are_nhwc(name: str, shape: tuple[int | None, ...]) -> None:
    spec = read_facts(fuse_aipp(identity(12, 12), CONFIGURATIONS[name])).input
    assert (spec.dtype, spec.layout, spec.shape) == ("uint8", "NHWC", shape)


def test_the_graph_given_is_left_alone() -> None:
    model = identity(12, 12)
    before = model.SerializeToString()
    fuse_aipp(model, CONFIGURATIONS["nv12"])
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("model", "name", "said"),
    [
        (
            identity(224, 224),
            "bgr cropped",
            r"window of the network's 224×224 .* beyond the AIPP configuration's image",
        ),
        (identity(12, 12, channels=4), "rgb", "RGB888_U8 gives 3 channels, 'image' takes 4"),
        (identity(12, 12, opset=10), "rgb", "AIPP nodes need opset 11 or newer, and the graph has 10"),
    ],
)
def test_refusals(model: onnx.ModelProto, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fuse_aipp(model, CONFIGURATIONS[name])


def test_crop_of_another_size() -> None:
    with pytest.raises(UsageError, match=r"gives 224×224 \(height×width\), the network takes 192×224"):
        fuse_aipp(identity(192, 224), load_aipp(GOLDEN / "aipp_resnet50.aippconfig"))
