"""Ascend's AIPP configuration files: the text format, its fields, and which values go together.

Facts from the ATC manual (AIPP, configuration file template) and from the checks of the compiler itself.
`data.preprocessing.apply_aipp` says what the fields do to pixels.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator

from seatrial.data.preprocessing import decode, yuv
from seatrial.errors import UsageError, cut
from seatrial.foreign.files import read_text
from seatrial.foreign.parse import LONGEST_NUMBER
from seatrial.recipes.normalisation import find_impossible
from seatrial.recipes.steps import Step, dump_steps
from seatrial.store.files import hash_value
from seatrial.strict import Strict, check_name, choose_first_error, describe_error

InputFormat = Literal["RGB888_U8", "YUV420SP_U8", "XRGB8888_U8", "YUV400_U8"]
Byte = Annotated[int, Field(ge=0, le=255)]
Int16 = Annotated[int, Field(ge=-32768, le=32767)]
Float16 = Annotated[float, Field(ge=-65504, le=65504)]
Minimum = Annotated[float, Field(ge=0, le=255)]
Start = Annotated[int, Field(ge=0, le=4095)]
Length = Annotated[int, Field(ge=0, le=4096)]
Border = Annotated[int, Field(ge=0, le=32)]

CELLS = tuple(f"matrix_r{row}c{column}" for row in range(3) for column in range(3))
RGB_TO_YUV = dict(zip(CELLS, (66, 129, 25, -38, -74, 112, 112, -94, -18), strict=True))
"""What ATC takes for matrix cells that are left out when the input is RGB; for YUV it is `Aipp`'s own defaults."""


_COMMENT = re.compile(r"#.*")
_OPENING = re.compile(r"\s*aipp_op\s*:?\s*\{\s*")
_FIELD = re.compile(r'(\w+)\s*:[^\S\n]*("[^"\n]*"|[^\s{}:,;"]+)\s*[,;]?\s*', re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class WrongField(ValueError):
    """A value that does not go with the others."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(problem)


class Aipp(Strict):
    """One `aipp_op` of a static configuration, under its own field names and with ATC's defaults."""

    model_config = ConfigDict(strict=True)

    aipp_mode: Literal["static"]
    input_format: InputFormat
    """YUV420SP_U8 is NV12, and NV21 with rbuv_swap_switch."""
    related_input_rank: Literal[0] = 0
    related_input_name: Literal[""] = ""
    max_src_image_size: Literal[0] = 0
    """Of dynamic AIPP; like every other field that takes one value only, it may be given and has no effect."""
    support_rotation: Literal[False] = False

    src_image_size_w: Annotated[int, Field(ge=0, le=4096)] = 0
    """0 takes the network's; see `apply_aipp.fit_aipp`."""
    src_image_size_h: Annotated[int, Field(ge=0, le=4096)] = 0
    cpadding_value: Annotated[float, Field(ge=0, le=0)] = 0.0
    crop: bool = False
    load_start_pos_w: Start = 0
    load_start_pos_h: Start = 0
    crop_size_w: Length = 0
    """0 takes the network's."""
    crop_size_h: Length = 0
    resize: Literal[False] = False
    resize_output_w: Literal[0] = 0
    resize_output_h: Literal[0] = 0
    padding: bool = False
    left_padding_size: Border = 0
    right_padding_size: Border = 0
    top_padding_size: Border = 0
    bottom_padding_size: Border = 0
    padding_value: Float16 = 0.0
    """Of the output: it is put around what is already normalised."""
    rotation_angle: Literal[0] = 0

    csc_switch: bool = False
    rbuv_swap_switch: bool = False
    ax_swap_switch: bool = False
    """The input's first byte of four is the unused one, not its last."""
    single_line_mode: Literal[False] = False
    matrix_r0c0: Int16 = 298
    matrix_r0c1: Int16 = 516
    matrix_r0c2: Int16 = 0
    matrix_r1c0: Int16 = 298
    matrix_r1c1: Int16 = -100
    matrix_r1c2: Int16 = -208
    matrix_r2c0: Int16 = 298
    matrix_r2c1: Int16 = 0
    matrix_r2c2: Int16 = 409
    output_bias_0: Byte = 16
    output_bias_1: Byte = 128
    output_bias_2: Byte = 128
    input_bias_0: Byte = 16
    input_bias_1: Byte = 128
    input_bias_2: Byte = 128

    mean_chn_0: Byte = 0
    mean_chn_1: Byte = 0
    mean_chn_2: Byte = 0
    mean_chn_3: Byte = 0
    min_chn_0: Minimum = 0.0
    min_chn_1: Minimum = 0.0
    min_chn_2: Minimum = 0.0
    min_chn_3: Minimum = 0.0
    var_reci_chn_0: Float16 = 1.0
    var_reci_chn_1: Float16 = 1.0
    var_reci_chn_2: Float16 = 1.0
    var_reci_chn_3: Float16 = 1.0
    raw_rgbir_to_f16_n: Literal[8] = 8

    @model_validator(mode="before")
    @classmethod
    def _fill_matrix(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        rgb = data.get("input_format") in ("RGB888_U8", "XRGB8888_U8")
        return {**RGB_TO_YUV, **data} if rgb and data.get("csc_switch") is True else data

    @model_validator(mode="after")
    def _consistent(self) -> "Aipp":
        if self.csc_switch and self.input_format == "YUV400_U8":
            raise WrongField("csc_switch", "YUV400_U8 has no colours to convert, so csc_switch must be false")
        if self.src_image_size_w == 1:
            raise WrongField("src_image_size_w", "src_image_size_w is 1, it must be 0 or 2 to 4096")
        for i in range(self.channels):
            if getattr(self, f"var_reci_chn_{i}") == 0:
                raise WrongField(
                    f"var_reci_chn_{i}", f"var_reci_chn_{i} is 0, which makes every pixel of that channel 0"
                )
        self._check_normalisation()
        for axis in "wh":
            self._check_axis(axis)
        return self

    def _check_normalisation(self) -> None:
        less, scale = self.normalisation
        # What a card calls mean and std, both on the scale 0..1. A negative factor shows a negative image.
        impossible = find_impossible((less / 255).tolist(), (1 / (255 * np.abs(scale))).tolist())
        if impossible is not None:
            name = "var_reci" if impossible.problem.startswith("std") else "min" if self.min_chn_0 else "mean"
            raise WrongField(
                f"{name}_chn_0",
                f"(pixel − {_join(less)}) · {_join(scale)} cannot be right for pixels in 0..255 (over 255, "
                f"{impossible.problem}); min_chn is their mean and var_reci_chn 1/std, such as 123.675 and 0.01712",
            )

    def _check_axis(self, axis: str) -> None:
        names = [part + axis for part in ("src_image_size_", "load_start_pos_", "crop_size_")]
        source, start, size = (getattr(self, name) for name in names)
        if (self.crop or self.padding) and source == 0:
            switch = "crop" if self.crop else "padding"
            raise WrongField(switch, f"{switch} is true, so {names[0]} must be given")
        if self.crop and self.padding and size == 0:
            raise WrongField("crop", f"crop and padding are true, so {names[2]} must be given")
        if self.crop and start + max(size, 1) > source:
            text = f"{names[1]} {start} + {names[2]} {size} is beyond {names[0]} {source}"
            raise WrongField(names[2] if size else names[1], text)
        for name in names if self.crop else names[:1]:
            if self.input_format == "YUV420SP_U8" and getattr(self, name) % 2:
                raise WrongField(name, f"{name} must be even for YUV420SP_U8, whose colours are one for 2×2 pixels")

    @property
    def channels(self) -> int:
        """How many come out; the fourth of XRGB8888_U8 is dropped."""
        return 1 if self.input_format == "YUV400_U8" else 3

    @property
    def order(self) -> tuple[int, ...]:
        """Which channel of the input becomes which of those that are converted: the swaps."""
        if self.input_format == "YUV400_U8":
            return (0,)
        if self.input_format == "YUV420SP_U8":
            return (0, 2, 1) if self.rbuv_swap_switch else (0, 1, 2)
        first = 1 if self.ax_swap_switch else 0
        rgb = (first, first + 1, first + 2)
        return rgb[::-1] if self.rbuv_swap_switch else rgb

    @property
    def matrix(self) -> NDArray[np.int32]:
        """The colour conversion, in 256ths."""
        return np.array([getattr(self, cell) for cell in CELLS], dtype=np.int32).reshape(3, 3)

    @property
    def biases(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """What the conversion takes off its input (YUV) and adds to its output (RGB); the other one is 0."""
        none = np.zeros(3, dtype=np.int32)
        if self.input_format == "YUV420SP_U8":
            return np.array([self.input_bias_0, self.input_bias_1, self.input_bias_2], dtype=np.int32), none
        return none, np.array([self.output_bias_0, self.output_bias_1, self.output_bias_2], dtype=np.int32)

    @property
    def normalisation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What is subtracted from each channel, and what the rest is multiplied by."""
        channels = range(self.channels)
        less = [float(getattr(self, f"mean_chn_{i}")) + float(getattr(self, f"min_chn_{i}")) for i in channels]
        scale = [getattr(self, f"var_reci_chn_{i}") for i in channels]
        return np.array(less, dtype=np.float32), np.array(scale, dtype=np.float32)


def load_aipp(path: Path) -> Aipp:
    """Read a configuration file.

    Raises:
        UsageError: there is no such file, or it is wrong: names file, line and what would be right.
    """
    try:
        # Fields are ASCII; comments may be in any encoding.
        text = read_text(path, errors="replace")
    except OSError as error:
        raise UsageError(f"AIPP configuration {path} cannot be read ({error.strerror})", "check --aipp") from None
    return parse_aipp(text, str(path))


def parse_aipp(text: str, source: str) -> Aipp:
    """Read the text of a configuration, which came from `source`.

    Raises:
        UsageError: names source, line and what would be right.
    """
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for name, value, line in _read_fields(text, source):
        place = f"{source} line {line}"
        check_name(name, Aipp.model_fields.keys(), f"{place}: unknown field '{name}'")
        if name in lines:
            raise UsageError(f"{place}: {name} is set in line {lines[name]} already", "remove one of them")
        values[name], lines[name] = value, line
    if values.get("aipp_mode") == "dynamic":
        fix = "static AIPP has the values that the others are given at run time in the file"
        raise UsageError(f"{source} line {lines['aipp_mode']}: only aipp_mode static is supported, not dynamic", fix)
    try:
        return Aipp.model_validate(values)
    except ValidationError as error:
        first = choose_first_error(error)
        wrong = first.get("ctx", {}).get("error")
        field = wrong.field if isinstance(wrong, WrongField) else str(first["loc"][0])
        place = f"{source} line {lines[field]}" if field in lines else source
        raise UsageError(f"{place}: {describe_error(Aipp, first, error.error_count())}") from None


def _read_fields(text: str, source: str) -> Iterator[tuple[str, Any, int]]:
    """Name, value and line of each field of the one `aipp_op` block of a protobuf text."""
    text = _COMMENT.sub("", text)
    opening = _OPENING.match(text)
    at = opening.end() if opening else 0
    while opening and (field := _FIELD.match(text, at)):
        line = text.count("\n", 0, field.start()) + 1
        yield cut(field[1]), _read_value(field[2], f"{source} line {line}: {cut(field[1])}"), line
        at = field.end()
    rest = text[at:].strip()
    if opening and rest == "}":
        return
    before = text[: len(text) - len(text[at:].lstrip())]
    place = f"{source} line {before.count(chr(10)) + 1}"
    if opening and rest.startswith("}"):
        raise UsageError(
            f"{place}: something follows the aipp_op block", "remove it: one block is supported, for one input"
        )
    wanted = "'field : value' or '}'" if opening else "'aipp_op {'"
    there = f"'{cut(rest.splitlines()[0].strip())}'" if rest else "the end of the file"
    fix = "that colon is a full-width one, write ':'" if "：" in there else None
    raise UsageError(f"{place}: {wanted} is expected, and there is {there}", fix)


def _read_value(text: str, place: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?[0-9]+", text):
        if len(text) > LONGEST_NUMBER:
            raise UsageError(f"{place} is a number of {len(text)} characters", "mend that line")
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text.strip('"')


def list_unused(config: Aipp) -> Iterator[str]:
    """Settings of a configuration that have no effect, each with the reason; ATC ignores them too."""
    kind, coloured = config.input_format, config.csc_switch
    channels = [f"{part}_chn_{i}" for part in ("mean", "min", "var_reci") for i in range(config.channels, 4)]
    sides = [f"{side}_padding" for side in ("left", "right", "top", "bottom")]
    idle = [
        (not config.crop, ("load_start_pos", "crop_size"), "crop is not true"),
        (not config.padding, (*sides, "padding_value"), "padding is not true"),
        (not coloured, ("matrix", "input_bias", "output_bias"), "csc_switch is not true"),
        (coloured and kind == "YUV420SP_U8", ("output_bias",), f"input_format is {kind}"),
        (coloured and kind != "YUV420SP_U8", ("input_bias",), f"input_format is {kind}"),
        (kind != "XRGB8888_U8", ("ax_swap_switch",), f"input_format is {kind}"),
        (kind == "YUV400_U8", ("rbuv_swap_switch",), f"input_format is {kind}"),
        (True, tuple(channels), f"{kind} gives channels 0 to {config.channels - 1}"),
    ]
    for _, prefixes, reason in (entry for entry in idle if entry[0]):
        names = [name for name, field in Aipp.model_fields.items() if getattr(config, name) != field.default]
        if listed := [f"{name} {getattr(config, name)}" for name in names if name.startswith(prefixes)]:
            yield f"without effect because {reason}: {', '.join(listed)}"


def describe_aipp(config: Aipp) -> str:
    """What a configuration does, in the order in which it does it."""
    name: str = config.input_format
    if config.rbuv_swap_switch:
        name += " (NV21)" if name == "YUV420SP_U8" else " (blue first)"
    source = f"{config.src_image_size_h or 'the network’s'}×{config.src_image_size_w or 'the network’s'}"
    steps = [f"{name} {source}"]
    if config.crop:
        size = f"{config.crop_size_h or 'the network’s'}×{config.crop_size_w or 'the network’s'}"
        steps.append(f"crop {size} at row {config.load_start_pos_h}, column {config.load_start_pos_w}")
    if config.csc_switch:
        steps.append("convert colours")
    less, scale = config.normalisation
    if less.any() or (scale != 1).any():
        steps.append(f"(pixel − {_join(less)}) · {_join(scale)}")
    if config.padding:
        steps.append("border")
    return ", ".join(steps)


def _join(values: NDArray[np.float32]) -> str:
    return "/".join(f"{value:.6g}" for value in values)


def hash_aipp(config: Aipp, steps: Sequence[Step]) -> str:
    """What identifies a preprocessing that ends in AIPP: how files become bytes, the steps before it, and its values.

    Comments, order and defaults that are written out do not count.
    """
    policy = yuv.POLICY if config.input_format == "YUV420SP_U8" else decode.POLICY
    return hash_value({"decode": policy, "steps": dump_steps(steps), "aipp": config.model_dump(mode="json")})
