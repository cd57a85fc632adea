"""What stands in for an `.om` file in tests: a zip archive of flags, a graph, and the AIPP in front of it.

float16 is emulated: weights, inputs and outputs are rounded to it, sums are float32's.
"""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.apply_aipp import fit_aipp, input_shape


@dataclass(frozen=True)
class Om:
    """A model as it was built."""

    soc_version: str
    half: bool
    batch: int
    """-1 when there are gears."""
    gears: tuple[int, ...]
    input_name: str
    input_type: str
    """numpy's name of what is fed."""
    input_shape: tuple[int, ...]
    """Of one image."""
    image_size: tuple[int, int]
    """Rows and columns that the network takes."""
    output_type: str
    aipp: dict[str, Any] | None

    @property
    def image_bytes(self) -> int:
        """Of one image as it is fed."""
        return int(np.prod(self.input_shape)) * np.dtype(self.input_type).itemsize

    @property
    def config(self) -> Aipp | None:
        """The AIPP configuration."""
        return None if self.aipp is None else Aipp.model_validate(self.aipp)


def save_om(path: Path, om: Om, model: onnx.ModelProto) -> None:
    """Write an emulated `.om`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("om.json", json.dumps(asdict(om)))
        archive.writestr("model.onnx", (_round_weights(model) if om.half else model).SerializeToString())


def load_om(path: Path) -> tuple[Om, bytes]:
    """Read one, with its graph; a RuntimeError as the runtime's when it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("om.json"))
            tuples = {name: tuple(data[name]) for name in ("gears", "input_shape", "image_size")}
            return Om(**{**data, **tuples}), archive.read("model.onnx")
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise RuntimeError(f"[1][ACL: invalid parameter] load model from file failed\n{error}") from None


def fed_shape(config: Aipp, image_size: tuple[int, int]) -> tuple[int, int, int]:
    """One image as static AIPP takes it."""
    return input_shape(config, fit_aipp(config, image_size))


def _round_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    rounded = onnx.ModelProto.FromString(model.SerializeToString())
    for weight in rounded.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(weight).astype(np.float16).astype(np.float32)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return rounded
