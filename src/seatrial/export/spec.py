"""The options of an export; imports no framework."""

from dataclasses import dataclass
from typing import Literal

from seatrial.data.preprocessing.aipp import Aipp
from seatrial.errors import UsageError
from seatrial.models.reading import AS_IT_IS, CheckpointReading

Exporter = Literal["torchscript", "dynamo"]
OPSETS: dict[Exporter, tuple[int, int]] = {"torchscript": (7, 20), "dynamo": (18, 28)}
"""Oldest and newest opset that each exporter writes. For an older one dynamo silently writes 18."""


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """What the exporter is to write."""

    opset: int
    batch_size: int | None = None
    """None leaves the batch free."""
    exporter: Exporter = "torchscript"
    simplify: bool = True
    fuse: bool = True
    """Take the preprocessing tail into the graph, so that its input is a uint8 image."""
    aipp: Aipp | None = None
    """Take this configuration into the graph instead; only with `fuse`."""
    fall_back: bool = False
    """Where the exporter fails take the other one, with the nearest opset that it writes."""
    reading: CheckpointReading = AS_IT_IS
    """What the user says of the checkpoint."""


def check_opset(spec: ExportSpec) -> None:
    """Refuse an opset that the exporter would not write, nor, where that is allowed, the other one.

    Raises:
        UsageError: names the range, and the exporter that would.
    """
    oldest, newest = OPSETS[spec.exporter]
    others = [name for name, (low, high) in OPSETS.items() if low <= spec.opset <= high]
    if spec.exporter not in others and not (spec.fall_back and others):
        fix = f"take --exporter {others[0]}" if others else f"take --opset {oldest} to {newest}"
        raise UsageError(f"exporter {spec.exporter} writes opset {oldest} to {newest}, not {spec.opset}", fix)
