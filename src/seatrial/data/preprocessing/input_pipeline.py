"""From image files to the bytes that a graph takes, and what its network sees of them.

A graph is fed either the card's own crop, or what an AIPP configuration expects: a larger frame, in its colour format.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.aipp import Aipp, hash_aipp
from seatrial.data.preprocessing.apply_aipp import apply_aipp, fit_aipp, input_shape
from seatrial.data.preprocessing.decode import decode_either, read_file
from seatrial.data.preprocessing.steps import apply_pixel_steps, hash_steps, normalise, to_pixels
from seatrial.data.preprocessing.yuv import PixelFormat, decode_ycbcr, hash_pixels, pack_yuv420sp
from seatrial.errors import UsageError
from seatrial.recipes.schema import Mode, Recipe
from seatrial.recipes.steps import Channels, Size, Step, dump_steps, pixel_steps
from seatrial.store.files import hash_value
from seatrial.store.records import GraphManifest, TensorSpec


@dataclass(frozen=True, slots=True)
class InputPipeline:
    """How files become a graph's uint8 input, and that input what the network takes."""

    recipe: Recipe
    steps: tuple[Step, ...]
    """Resizing and cropping, done on the host."""
    aipp: Aipp | None = None
    """What follows them in the graph; None is the card's own normalisation."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of one image."""
        if self.aipp is None:
            return (*self.recipe.input_size, self.recipe.channels)
        return input_shape(self.aipp, fit_aipp(self.aipp, self.recipe.input_size))

    @property
    def hash(self) -> str:
        """What identifies this preprocessing."""
        return hash_steps(self.recipe.preprocess) if self.aipp is None else hash_aipp(self.aipp, self.steps)

    @property
    def pixels_hash(self) -> str:
        """What identifies the bytes of `shape`, whatever is done to them afterwards; `bins.json` has the same."""
        steps = pixel_steps(self.steps)
        if self.aipp is None or self.pixel_format is not None:
            return hash_pixels(steps, self.pixel_format or "rgb")
        return hash_value({"pixels": hash_steps(steps), "order": self.aipp.order, "channels": self.shape[2]})

    @property
    def pixel_format(self) -> PixelFormat | None:
        """How the bytes of `shape` are stored; None where bins have no such format."""
        if self.aipp is None or self.aipp.order == tuple(range(self.shape[2])):
            return "rgb"
        return ("yuv420sp-nv21" if self.aipp.rbuv_swap_switch else "yuv420sp") if self.is_yuv else None

    @property
    def is_yuv(self) -> bool:
        """Whether the bytes are YUV420SP."""
        return self.aipp is not None and self.aipp.input_format == "YUV420SP_U8"

    def load(self, path: Path) -> NDArray[np.uint8]:
        """One file as uint8 of `shape`.

        Raises:
            DataError: the file is no image.
        """
        return self.decode(read_file(path), str(path))

    def decode(self, data: bytes, name: str, notes: list[str] | None = None) -> NDArray[np.uint8]:
        """The bytes of one image file as uint8 of `shape`.

        Args:
            notes: as for `data.preprocessing.decode.decode_image`.

        Raises:
            DataError: they are no image; names `name`.
        """
        return self.pack(decode_pixels(data, name, self.steps, self.is_yuv, notes))

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """RGB pixels (height, width, 3) of the size that the steps give, as uint8 of `shape`."""
        kind = "YCbCr" if self.is_yuv else "L" if self.recipe.channels == 1 else "RGB"
        return self.pack(to_pixels(Image.fromarray(pixels).convert(kind)))

    def pack(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels (height, width, channels), RGB, grey or YCbCr as `is_yuv` says, as uint8 of `shape`.

        Swaps of the configuration are undone beforehand, so that the network sees red first.
        """
        if self.aipp is None:
            return pixels
        if self.is_yuv:
            return pack_yuv420sp(pixels, self.aipp.rbuv_swap_switch)[..., None]
        packed = np.zeros(self.shape, dtype=np.uint8)
        packed[..., list(self.aipp.order)] = pixels
        return packed

    def finish(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network takes, (n, channels, height, width), of (n, *shape)."""
        if self.aipp is None:
            return normalise(batch, self.recipe)
        return apply_aipp(batch, self.aipp, self.recipe.input_size)


def make_pipeline(recipe: Recipe, aipp: Aipp | None = None) -> InputPipeline:
    """The card's own preprocessing, or the one in front of an AIPP configuration.

    The latter is a mode of the card that writes pixels of the configuration's size, else the card's own steps with the
    crop widened to that size, else a plain resize to it.

    Raises:
        UsageError: the configuration gives another size or number of channels than the network takes, or the card
            swaps channels itself.
    """
    if aipp is None:
        return InputPipeline(recipe, recipe.preprocess)
    if aipp.channels != recipe.channels:
        raise UsageError(
            f"{aipp.input_format} gives {aipp.channels} of the {recipe.channels} channels that {recipe.name} takes"
            if aipp.channels < recipe.channels
            else f"{aipp.input_format} gives {aipp.channels} channels, and {recipe.name} takes {recipe.channels}",
            f"choose {'input_format YUV400_U8' if recipe.channels == 1 else 'another input_format'}",
        )
    if any(isinstance(step, Channels) and step.order == "BGR" for step in recipe.preprocess):
        raise UsageError(
            f"{recipe.name} swaps channels in its preprocessing, and AIPP does that in its configuration",
            "leave the channels step out, and set rbuv_swap_switch",
        )
    source = fit_aipp(aipp, recipe.input_size).source
    return InputPipeline(recipe, _find_steps(recipe, source), aipp)


def read_pipeline(graph: GraphManifest) -> InputPipeline:
    """The preprocessing that a graph was made for."""
    recipe = Recipe.read(graph.recipe, "the graph's manifest")
    if graph.aipp is None:
        return make_pipeline(recipe)
    steps = Mode.read({"preprocess": list(graph.host_steps)}, "the graph's manifest").preprocess
    return InputPipeline(recipe, steps, Aipp.read(graph.aipp, "the graph's manifest"))


def describe_behind_aipp(graph: GraphManifest, config: Aipp) -> GraphManifest:
    """A graph of floats as it is fed when an AIPP configuration stands in front of it.

    Raises:
        UsageError: its preprocessing is in it already, or the configuration does not fit the network.
    """
    if graph.input.dtype == "uint8":
        raise UsageError(
            "the graph takes images of bytes: its preprocessing is in it already",
            "export it with --no-fuse-preprocess, or leave the AIPP configuration out",
        )
    pipeline = make_pipeline(Recipe.read(graph.recipe, "the graph's manifest"), config)
    return graph.model_copy(
        update={
            "fused": True,
            "aipp": config.model_dump(mode="json"),
            "host_steps": tuple(dump_steps(pipeline.steps)),
            "preprocess_hash": pipeline.hash,
            "input": TensorSpec(
                name=graph.input.name,
                dtype="uint8",
                shape=(graph.input.shape[0], *pipeline.shape),
                layout="YUV420SP" if pipeline.is_yuv else "NHWC",
            ),
        }
    )


def to_input(rows: NDArray[Any], spec: TensorSpec, pipeline: InputPipeline) -> NDArray[Any]:
    """Images as the input that `spec` describes, finished and transposed here where it wants that.

    Args:
        rows: pixels (n, *pipeline.shape), or what `pipeline.finish` made of them.
    """
    if spec.dtype == "uint8":
        return np.ascontiguousarray(rows.transpose(0, 3, 1, 2) if spec.layout == "NCHW" else rows)
    finished = pipeline.finish(rows) if rows.dtype == np.uint8 else rows
    ordered = finished.transpose(0, 2, 3, 1) if spec.layout == "NHWC" else finished
    return np.ascontiguousarray(ordered, dtype=spec.dtype)


def decode_pixels(
    data: bytes, name: str, steps: tuple[Step, ...], as_ycbcr: bool = False, notes: list[str] | None = None
) -> NDArray[np.uint8]:
    """The bytes of one image file, resized and cropped: (height, width, channels), RGB, grey or YCbCr.

    Args:
        notes: as for `data.preprocessing.decode.decode_image`.

    Raises:
        DataError: they are no image; names `name`.
    """
    return apply_pixel_steps(decode_ycbcr(data, name, notes) if as_ycbcr else decode_either(data, name, notes), steps)


def _find_steps(recipe: Recipe, source: Size) -> tuple[Step, ...]:
    modes = [mode for mode in recipe.modes.values() if mode.dtype == "uint8" and mode.input_size == source]
    if modes:
        return modes[0].preprocess
    steps = [*pixel_steps(recipe.preprocess)]
    last = max(index for index, step in enumerate(steps) if not isinstance(step, Channels))
    return (*steps[:last], steps[last].with_size(source), *steps[last + 1 :])
