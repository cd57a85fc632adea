"""An AIPP configuration as the first nodes of a graph: the bytes that an Ascend engine takes in, floats out.

The colour conversion is in int32, so that no lower precision of what follows can touch it.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto

from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.apply_aipp import AippFrame, fit_aipp, input_shape
from seatrial.errors import UsageError
from seatrial.export.fuse_preprocess import Tail, per_channel

PREFIX = "aipp_"
MIN_OPSET = 11


def fuse_aipp(model: onnx.ModelProto, config: Aipp) -> onnx.ModelProto:
    """A graph whose input of the same name takes uint8 (n, *`apply_aipp.input_shape`) and computes `apply_aipp`.

    `model` is as the exporter writes it: float32 NCHW of a fixed image size. A network of fewer channels than the
    configuration gives takes the first ones, as on the device.

    Raises:
        UsageError: the graph takes another size or more channels than the configuration gives, or its opset is older.
    """
    tail = Tail(model, PREFIX)
    facts, spec = tail.facts, tail.facts.input
    if facts.opset < MIN_OPSET:
        raise UsageError(
            f"AIPP nodes need opset {MIN_OPSET} or newer, and the graph has {facts.opset}",
            "set graph.opset in the card",
        )
    channels, height, width = (size or 0 for size in spec.shape[1:])
    if channels > config.channels:
        raise UsageError(
            f"{config.input_format} gives {config.channels} channels, '{spec.name}' takes {channels}",
            "choose another input_format",
        )
    frame = fit_aipp(config, (height, width))
    add_pixels = _add_yuv420sp if config.input_format == "YUV420SP_U8" else _add_packed
    add_pixels(tail, config, frame, channels)
    _add_normalisation(tail, config, frame, channels)
    value = tail.prepend(input_shape(config, frame))
    if config.input_format == "YUV420SP_U8":
        # Its shape alone does not say what it is; `graph.read_facts` reads this back.
        value.type.denotation = "YUV420SP"
    onnx.checker.check_model(tail.model, full_check=True)
    return tail.model


def _add_packed(tail: Tail, config: Aipp, frame: AippFrame, channels: int) -> None:
    """Crop, swap and convert images of 1, 3 or 4 channels: float32 (n, channels, height, width) of 0 to 255."""
    if frame.window != frame.source:
        tail.value = tail.slice("window", tail.value, frame.start, frame.window)
    tail.add("Transpose", "planes", perm=[0, 3, 1, 2])
    if config.csc_switch:
        planes = tail.add("Cast", "integers", to=TensorProto.INT32)
        _add_conversion(tail, config, frame, channels, [(planes, position) for position in config.order])
        return
    order = config.order[:channels]
    if order != tuple(range(input_shape(config, frame)[2])):
        tail.add("Gather", "swapped", tail.constant("order", order), axis=1)
    tail.add("Cast", "float", to=TensorProto.FLOAT)


def _add_yuv420sp(tail: Tail, config: Aipp, frame: AippFrame, channels: int) -> None:
    """The same for YUV420SP."""
    (top, left), (height, width) = frame.start, frame.window
    rows = tail.slice("luma_rows", tail.source, (top, left), (height, width))
    luma = tail.join("Reshape", "luma", rows, tail.constant("luma_shape", (0, 1, height, width)))
    # A row of colours is as wide as one of luma: width/2 pairs.
    rows = tail.slice("chroma_rows", tail.source, (frame.source[0] + top // 2, left), (height // 2, width))
    pairs = tail.join("Reshape", "pairs", rows, tail.constant("pairs_shape", (0, height // 2, width // 2, 2)))
    chroma = tail.join("Transpose", "chroma", pairs, perm=[0, 3, 1, 2])
    u, v = (position - 1 for position in config.order[1:])
    if config.csc_switch:
        luma = tail.join("Cast", "luma_integers", luma, to=TensorProto.INT32)
        chroma = tail.join("Cast", "chroma_integers", chroma, to=TensorProto.INT32)
        _add_conversion(tail, config, frame, channels, [(luma, 0), (chroma, u), (chroma, v)])
        return
    swapped = tail.join("Gather", "swapped", chroma, tail.constant("order", (u, v)), axis=1)
    tail.value = tail.join("Concat", "yuv", luma, _spread(tail, swapped, frame), axis=1)
    if channels < 3:
        tail.add("Gather", "kept", tail.constant("kept_channels", range(channels)), axis=1)
    tail.add("Cast", "float", to=TensorProto.FLOAT)


def _add_conversion(
    tail: Tail, config: Aipp, frame: AippFrame, channels: int, planes: Sequence[tuple[str, int]]
) -> None:
    """Convert colours: `planes` are three int32 tensors, each with the channel to take from it."""
    matrix, terms = config.matrix[:channels], []
    for i, (tensor, channel) in enumerate(planes):
        plane = tail.join("Gather", f"plane_{i}", tensor, tail.constant(f"channel_{i}", [channel]), axis=1)
        column = tail.constant(f"column_{i}", per_channel(matrix[:, i]), np.int32)
        terms.append(tail.join("Mul", f"term_{i}", plane, column))
    colours = tail.join("Add", "terms", terms[1], terms[2])
    before, after = config.biases
    # What is added after >> 8 may be added 256-fold before it.
    if (offset := 256 * after[:channels] - matrix @ before).any():
        colours = tail.join("Add", "offset", colours, tail.constant("offsets", per_channel(offset), np.int32))
    if config.input_format == "YUV420SP_U8":
        colours = _spread(tail, colours, frame)
    tail.value = tail.join("Add", "sum", colours, terms[0])
    # Division cuts off towards 0 where >> 8 rounds down: they differ below 0 only, and that becomes 0.
    tail.add("Div", "shifted", tail.constant("divisor", 256, np.int32))
    tail.add("Cast", "float", to=TensorProto.FLOAT)
    tail.add("Clip", "clamped", tail.constant("lowest", 0, np.float32), tail.constant("highest", 255, np.float32))


def _spread(tail: Tail, colours: str, frame: AippFrame) -> str:
    """Give each colour to its 2×2 pixels; Gather is faster at it than Resize, and the same in every opset."""
    height, width = frame.window
    wide = tail.join("Gather", "wide", colours, tail.constant("columns", np.arange(width) // 2), axis=3)
    return tail.join("Gather", "whole", wide, tail.constant("rows", np.arange(height) // 2), axis=2)


def _add_normalisation(tail: Tail, config: Aipp, frame: AippFrame, channels: int) -> None:
    less, scale = (values[:channels] for values in config.normalisation)
    if less.any():
        tail.add("Sub", "centred", tail.constant("less", per_channel(less), np.float32))
    if (scale != 1).any():
        tail.add("Mul", "scaled", tail.constant("scale", per_channel(scale), np.float32))
    top, left, bottom, right = frame.borders
    if any(frame.borders):
        sizes = tail.constant("borders", (0, 0, top, left, 0, 0, bottom, right))
        tail.add("Pad", "bordered", sizes, tail.constant("border", config.padding_value, np.float32), mode="constant")
