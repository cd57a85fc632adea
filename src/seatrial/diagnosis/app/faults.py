"""What programs do otherwise than a card: a row for each fault, with its words and what it changes.

A new fault is a row of `FAULTS`. Rows that change different parts of a program go together, so pairs need none.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from seatrial.data.preprocessing.tensor_resize import make_weights
from seatrial.diagnosis.app import decoders, pixels
from seatrial.diagnosis.app.program import Levels, Program, Scale, scale_by, scale_right
from seatrial.recipes.steps import AnyPixelStep, CenterCrop, Pad, PerChannel, Resize

Part = Literal["decoding", "shape", "resize", "crop", "colours", "scaling", "rounding", "layout"]
PARTS: tuple[Part, ...] = ("decoding", "shape", "resize", "crop", "colours", "scaling", "rounding", "layout")
"""Of a program, in order; two faults of one part exclude each other, but for those of decoding."""
ON_TENSORS: tuple[Part, ...] = PARTS[4:]
"""Parts that come after the pixels of the network's size."""
OTHER_SETS: dict[str, tuple[PerChannel, PerChannel]] = {
    "ImageNet's (0.485 0.456 0.406, 0.229 0.224 0.225)": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0.5 and 0.5 (values -1..1)": ((0.5,) * 3, (0.5,) * 3),
    "CLIP's (0.481 0.458 0.408, 0.269 0.261 0.276)": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    "CIFAR's (0.491 0.482 0.447, 0.247 0.243 0.262)": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "ImageNet's mean and a std of 1/255 (Caffe's, levels less the mean)": ((0.485, 0.456, 0.406), (1 / 255,) * 3),
}
"""Means and standard deviations that others use."""
Change = Callable[[Program], Program | None]
"""The program with the fault; None where the card leaves no room for it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a program is not the card."""

    name: str
    words: str
    part: Part
    change: Change


def _set(**values: Any) -> Change:
    return lambda program: replace(program, **values)


def _decode(decoder: decoders.Decoder) -> Change:
    return lambda program: replace(program, decoders=(*program.decoders, decoder))


def _recolour(colour: Callable[[Levels], Levels]) -> Change:
    def change(program: Program) -> Program | None:
        return replace(program, colours=(*program.colours, colour)) if program.recipe.channels == 3 else None

    return change


def _scale(scale: Scale) -> Change:
    return lambda program: replace(program, scale=scale)


def _normalise_as(mean: PerChannel, std: PerChannel) -> Change:
    def change(program: Program) -> Program | None:
        channels = program.recipe.channels
        return replace(program, scale=scale_by(mean[:channels], std[:channels])) if len(mean) == channels else None

    return change


def _swap_triples(program: Program) -> Program | None:
    mean, std = program.recipe.normalisation
    return replace(program, scale=scale_by(mean[::-1], std[::-1])) if program.recipe.channels == 3 else None


def _arrange(arrange: Callable[[Any], Any]) -> Change:
    return lambda program: replace(program, arrange=(*program.arrange, arrange))


def _resize(program: Program, change: Callable[[Resize], AnyPixelStep]) -> Program | None:
    """With another resize in the place of the card's."""
    if not any(isinstance(step, Resize) for step in program.steps):
        return None
    return replace(program, steps=tuple(change(s) if isinstance(s, Resize) else s for s in program.steps))


def _filter_as(**values: Any) -> Change:
    def change(program: Program) -> Program | None:
        return _resize(replace(program, weigh=None), lambda step: step.model_copy(update=values))

    return change


def _weigh(weigh: Callable[[int, int], Any]) -> Change:
    def change(program: Program) -> Program | None:
        return _resize(replace(program, weigh=weigh), lambda step: step)

    return change


def _take_columns_first(program: Program) -> Program | None:
    pillows = any(isinstance(step, Resize) and step.backend == "pillow" for step in program.steps)
    return replace(program, columns_first=True) if pillows else None


def _find(program: Program) -> tuple[Resize, CenterCrop | None] | None:
    """The card's resize and the crop that follows; None where it has another order."""
    resizes = [step for step in program.steps if isinstance(step, Resize)]
    crops = [step for step in program.steps if isinstance(step, CenterCrop) and step.size is not None]
    return (resizes[0], crops[0] if crops else None) if len(resizes) == 1 else None


def _shape(make: Callable[[Resize, CenterCrop | None, tuple[int, int]], tuple[AnyPixelStep, ...] | None]) -> Change:
    """With other steps in the place of the resize and the crop."""

    def change(program: Program) -> Program | None:
        found = _find(program)
        if found is None:
            return None
        made = make(*found, program.recipe.input_size)
        if made is None or made == tuple(step for step in found if step is not None):
            return None
        others = tuple(step for step in program.steps if step not in found)
        return replace(program, steps=(*made, *others))

    return change


def _squash(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    return None if crop is None or step.short_side is None else (step.with_size((step.short_side,) * 2), crop)


def _straight(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    return None if crop is None else (step.with_size(size),)


def _no_margin(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    if step.size is None and step.short_side == min(size):
        return None
    kept = step.with_size(size).model_copy(update={"size": None, "short_side": min(size)})
    return kept, crop or CenterCrop(step="center_crop", size=size)


def _wider_margin(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    side = round(min(size) * 256 / 224)
    if step.short_side == side:
        return None
    kept = step.with_size(size).model_copy(update={"size": None, "short_side": side})
    return kept, crop or CenterCrop(step="center_crop", size=size)


def _crop_alone(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    return (CenterCrop(step="center_crop", size=size),)


def _letterbox(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    return step.with_size(size).model_copy(update={"size": None, "fit": size}), Pad(step="pad", size=size)


def _long_side(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    if crop is None or step.short_side is None:
        return None
    return step.model_copy(update={"short_side": None, "long_side": step.short_side}), crop


def _round_side(step: Resize, crop: CenterCrop | None, size: tuple[int, int]) -> tuple[AnyPixelStep, ...] | None:
    if crop is None or step.short_side is None:
        return None
    return step.model_copy(update={"short_side": None, "cover": (step.short_side,) * 2}), crop


def _square_first(program: Program) -> Program | None:
    found = _find(program)
    if found is None:
        return None
    changed = _straight(found[0], found[1], program.recipe.input_size) or program.steps
    return replace(program, square=True, steps=tuple(changed))


def _move_crop(**values: Any) -> Change:
    def change(program: Program) -> Program | None:
        crops = any(isinstance(step, CenterCrop) and step.size is not None for step in program.steps)
        return replace(program, **values) if crops else None

    return change


def _scale_half(keep: Literal["mean", "std"]) -> Scale:
    if keep == "mean":
        return lambda levels, mean, std: levels / np.float32(255) - mean
    return lambda levels, mean, std: levels / np.float32(255) / std


_FILTERS = {
    "nearest": "nearest neighbour",
    "bilinear": "Pillow's bilinear",
    "bicubic": "Pillow's bicubic",
    "lanczos": "Pillow's lanczos",
    "box": "Pillow's box",
    "hamming": "Pillow's hamming",
}
_ON_TENSORS = {
    ("bilinear", True): "bilinear on tensors with antialias (torchvision)",
    ("bicubic", True): "bicubic on tensors with antialias (torchvision)",
    ("bilinear", False): "bilinear without antialias (OpenCV's INTER_LINEAR, torch's interpolate, most devices)",
}

DECODING = (
    Fault("exif", "the orientation in EXIF is applied, and the card ignores it", "decoding", _set(turns=True)),
    Fault(
        "alpha-white", "transparency is laid on white, and the card drops it", "decoding", _decode(decoders.on_white)
    ),
    Fault(
        "alpha-black", "transparency is laid on black, and the card drops it", "decoding", _decode(decoders.on_black)
    ),
    Fault("cmyk-inverted", "CMYK is read inverted", "decoding", _decode(decoders.cmyk_inverted)),
    Fault("cmyk-sums", "CMYK is made RGB by 255 - C - K", "decoding", _decode(decoders.cmyk_sums)),
    Fault("cmyk-three", "the first three planes of CMYK are taken as RGB", "decoding", _decode(decoders.cmyk_three)),
    Fault("16-cut", "16-bit grey is cut off at 255", "decoding", _decode(decoders.cut_16)),
    Fault("16-256", "16-bit grey is divided by 256, not 257", "decoding", _decode(decoders.halve_16)),
    Fault("palette", "the numbers of a palette are read as levels of grey", "decoding", _decode(decoders.palette)),
    Fault("jpeg-fast", "JPEG's colours are enlarged without smoothing", "decoding", _decode(decoders.plain_chroma)),
)
SHAPE = (
    Fault("squash", "resized to a square whatever the aspect ratio, then cropped", "shape", _shape(_squash)),
    Fault("straight", "resized straight to the network's size, without a crop", "shape", _shape(_straight)),
    Fault("no-margin", "the short side is resized to the network's own size: no margin", "shape", _shape(_no_margin)),
    Fault("margin", "the short side is resized to 256/224 of the network's size", "shape", _shape(_wider_margin)),
    Fault("crop-alone", "cropped without a resize", "shape", _shape(_crop_alone)),
    Fault("letterbox", "fitted into the network's size with a black border (letterbox)", "shape", _shape(_letterbox)),
    Fault("long-side", "the long side is resized, and the card says the short one", "shape", _shape(_long_side)),
    Fault("round-side", "the other side is rounded, and the card truncates it", "shape", _shape(_round_side)),
    Fault("crop-first", "the centred square is cropped before the resize, not after", "shape", _square_first),
)
RESIZE = (
    *(
        Fault(f"pillow-{kind}", f"resized with {words}", "resize", _filter_as(interpolation=kind, backend="pillow"))
        for kind, words in _FILTERS.items()
    ),
    *(
        Fault(
            f"tensor-{kind}{'' if antialias else '-plain'}",
            f"resized {words}",
            "resize",
            _filter_as(interpolation=kind, backend="tensor", antialias=antialias),
        )
        for (kind, antialias), words in _ON_TENSORS.items()
    ),
    Fault(
        "bicubic-plain",
        "resized bicubic without antialias (OpenCV's INTER_CUBIC, torch's interpolate)",
        "resize",
        _weigh(partial(make_weights, kind="bicubic", antialias=False)),
    ),
    Fault("area", "resized by the mean of the area (OpenCV's INTER_AREA)", "resize", _weigh(pixels.weigh_area)),
    Fault(
        "half-pixel",
        "resized bilinear without half pixels (asymmetric: shifted up and left)",
        "resize",
        _weigh(pixels.weigh_asymmetric),
    ),
    Fault("corners", "resized bilinear with aligned corners", "resize", _weigh(pixels.weigh_corners)),
    Fault("columns", "resized columns first (Pillow from 13 on where cheaper)", "resize", _take_columns_first),
)
_SHIFTS = {
    "up": ("a row higher", (-1, 0)),
    "down": ("a row lower", (1, 0)),
    "left": ("a column further left", (0, -1)),
    "right": ("a column further right", (0, 1)),
    "up-left": ("a row higher and a column further left", (-1, -1)),
    "down-right": ("a row lower and a column further right", (1, 1)),
}
CROP = (
    *(Fault(f"crop-{k}", f"the crop lies {words}", "crop", _move_crop(shift=by)) for k, (words, by) in _SHIFTS.items()),
    Fault("crop-corner", "cropped at the top left, not in the middle", "crop", _move_crop(corner=True)),
)
COLOURS = (
    Fault("bgr", "red and blue are swapped (BGR for RGB)", "colours", _recolour(pixels.swap)),
    Fault("grey", "made grey before the network", "colours", _recolour(pixels.make_grey)),
    Fault("nv12", "through YUV 4:2:0 (NV12): one colour for 2 × 2 pixels", "colours", _recolour(pixels.through_yuv)),
    Fault(
        "yuv-709",
        "YUV made of BT.601 is read with the matrix of BT.709",
        "colours",
        _recolour(partial(pixels.through_yuv, matrix="709")),
    ),
    Fault(
        "yuv-limited",
        "full-range YUV is read as video range (16..235 stretched)",
        "colours",
        _recolour(partial(pixels.through_yuv, matrix="stretched")),
    ),
    Fault(
        "yuv-squeezed",
        "video-range YUV is read as full range (greyish: black is 16, white 235)",
        "colours",
        _recolour(partial(pixels.through_yuv, matrix="squeezed", halved=False)),
    ),
    Fault(
        "nv21",
        "U and V are swapped (NV21 for NV12)",
        "colours",
        _recolour(partial(pixels.through_yuv, swapped=True)),
    ),
)
SCALING = (
    Fault("0-255", "not normalised: levels 0..255", "scaling", _scale(lambda levels, mean, std: levels)),
    Fault("0-1", "not normalised: values 0..1", "scaling", _scale(lambda levels, mean, std: levels / np.float32(255))),
    Fault(
        "255-missing",
        "not divided by 255 before mean and standard deviation",
        "scaling",
        _scale(lambda levels, mean, std: (levels - mean) / std),
    ),
    Fault(
        "255-twice",
        "divided by 255 twice",
        "scaling",
        _scale(lambda levels, mean, std: scale_right(levels / np.float32(255), mean, std)),
    ),
    Fault(
        "256",
        "divided by 256, not 255",
        "scaling",
        _scale(lambda levels, mean, std: scale_right(levels * np.float32(255 / 256), mean, std)),
    ),
    Fault("triples-bgr", "mean and standard deviation in BGR order, the channels are not", "scaling", _swap_triples),
    Fault(
        "mean-only", "the mean is subtracted, but not divided by the deviation", "scaling", _scale(_scale_half("mean"))
    ),
    Fault("std-only", "divided by the deviation, but no mean subtracted", "scaling", _scale(_scale_half("std"))),
    Fault(
        "std-first",
        "divided by the deviation before the mean is subtracted",
        "scaling",
        _scale(lambda levels, mean, std: levels / np.float32(255) / std - mean),
    ),
    Fault(
        "std-times",
        "multiplied by the deviation, not divided",
        "scaling",
        _scale(lambda levels, mean, std: (levels / np.float32(255) - mean) * std),
    ),
    Fault(
        "normalised-twice",
        "normalised twice",
        "scaling",
        _scale(lambda levels, mean, std: (scale_right(levels, mean, std) - mean) / std),
    ),
    Fault("wrap-mean", "the mean is subtracted in uint8 and wraps around", "scaling", _scale(pixels.wrap_mean)),
    Fault("int8", "levels are read as int8: from 128 on they are negative", "scaling", _scale(pixels.read_signed)),
    *(
        Fault(f"set-{number}", f"mean and standard deviation are {words}", "scaling", _normalise_as(*triples))
        for number, (words, triples) in enumerate(OTHER_SETS.items())
    ),
)
ROUNDING = (
    Fault("float16", "rounded to float16", "rounding", _set(round=pixels.round_fp16)),
    Fault("bfloat16", "rounded to bfloat16", "rounding", _set(round=pixels.round_bf16)),
)
LAYOUT = (
    Fault("hwc", "values in the order HWC where CHW is read (NHWC for NCHW)", "layout", _arrange(pixels.read_hwc)),
    Fault("transposed", "rows and columns are exchanged", "layout", _arrange(lambda image: image.transpose(0, 2, 1))),
    Fault("upside-down", "upside down", "layout", _arrange(lambda image: image[:, ::-1])),
    Fault("mirrored", "mirrored", "layout", _arrange(lambda image: image[:, :, ::-1])),
)
FAULTS = (*DECODING, *SHAPE, *RESIZE, *CROP, *COLOURS, *SCALING, *ROUNDING, *LAYOUT)


def combine(program: Program, faults: tuple[Fault, ...]) -> Program | None:
    """The program with all of the faults; None where one finds no room."""
    changed: Program | None = program
    for fault in sorted(faults, key=lambda each: PARTS.index(each.part)):
        changed = None if changed is None else fault.change(changed)
    return changed
