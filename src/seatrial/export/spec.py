"""What may be asked of an export; imports no framework."""

from dataclasses import dataclass
from typing import Literal

from seatrial.data.aipp import Aipp

Exporter = Literal["torchscript", "dynamo"]


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """What to ask of the exporter."""

    opset: int
    batch_size: int | None = None
    """None leaves the batch free."""
    exporter: Exporter = "torchscript"
    simplify: bool = True
    fuse: bool = True
    """Take the preprocessing tail into the graph, so that its input is a uint8 image."""
    aipp: Aipp | None = None
    """Take this configuration into the graph instead; only with `fuse`."""
