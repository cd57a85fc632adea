"""How far a stage may move the logits by rounding alone, and whether it moved them further."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The noise that a stage may add."""

    relative_error: float
    reason: str


FLOORS = {
    "fp32": NoiseFloor(1e-5, "sums in another order, 24 bits of mantissa: at most 9.5e-7 was measured"),
    "int8": NoiseFloor(1e-1, "255 steps for each layer: at most 4.3e-2 was measured"),
}
"""From torch in fp32 to a precision, as relative error of the logits. docs/diagnose.md has the measurements."""
MANTISSA_BITS = {"tf32": 10, "fp16": 10, "bf16": 7}
"""As stored: the floor of these is what rounding to so many bits does to torch on the images at hand."""
ROUNDINGS = 2.0
"""Times that; engines lay at 0.3 to 1.0 of it."""
SAME_INT8 = NoiseFloor(3e-2, "values halfway between two steps go to the one or the other: at most 1.4e-2 was measured")
"""From an int8 graph to an engine that runs it."""
SAME_FLOORS = {"fp32": 1e-4, "tf32": 1e-2, "fp16": 1e-2, "bf16": 5e-2, "int8": SAME_INT8.relative_error}
"""What the logits of an image may move by when an engine runs it again, by the precision that the engine computes in:
some ten times its rounding, since engines choose other kernels, and so other sums, for other threads and batches, and
another kind of processor rounds otherwise. Another network's lie about 1 apart. Everything else, such as weights of 4
bits, may move them by as much as int8 moves those of torch."""


def find_same_floor(precision: str, executed: Mapping[str, int]) -> float:
    """The floor between two runs of an engine, by its requested precision and those that its layers run in."""
    return max(SAME_FLOORS.get(name, FLOORS["int8"].relative_error) for name in (precision, *executed))


def find_batch_floor(precision: str, executed: Mapping[str, int], dynamic: bool = False) -> float:
    """`find_same_floor` where the other images of the batch differ.

    Args:
        dynamic: the graph takes scales of int8 from the batch (`GraphManifest.dynamic_scales`).
    """
    floor = find_same_floor(precision, executed)
    return max(floor, FLOORS["int8"].relative_error) if dynamic else floor


def is_coarse(precision: str, executed: Mapping[str, int]) -> bool:
    """Whether logits of an engine may be rounded so far that those of different images, or classes, are often equal."""
    return not {precision, *executed} <= {"fp32", "tf32"}
