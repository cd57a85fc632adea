"""How far onnxruntime may rewrite a graph, and whether the graph still computes the same at that level."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import EngineError, UsageError

LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""Values of the option `optimisation`, the lowest first, and onnxruntime's names for them."""
MOST_MOVED = {"fp32": 1e-3, "int8": 0.2}
"""Relative error of the logits that a level may add. Rounding adds 1e-5 in fp32 and 4e-2 in int8 at most (see
docs/diagnose.md); a wrong rewrite of one layer of resnetv2_50x1_bit added 2e-2."""
COARSE_MOVED = 5e-2
"""Of the other precisions."""


def read_level(text: str) -> str:
    """The level of that name.

    Raises:
        UsageError: there is none.
    """
    if text not in LEVELS:
        raise UsageError(f"option optimisation={text} is none of {', '.join(LEVELS)}")
    return text


def check_level(asked: str, precision: str, run: Callable[[str], NDArray[np.float32]], version: str) -> None:
    """Refuse a level at which a graph computes something else than its nodes as they stand.

    onnxruntime 1.31, for one, puts a padding with zeros into the max pooling behind it, which then pads with
    the least number instead (its rewrite Pad_Fusion): wrong wherever a border has only negative values.

    Args:
        run: logits (n, classes) of the same images at a level.

    Raises:
        EngineError: names the highest level that is sound.
    """
    plain, limit = run("disabled"), MOST_MOVED.get(precision, COARSE_MOVED)
    moved = {asked: _differ(run(asked), plain)}
    if not moved[asked] > limit:  # Nor where they are not numbers: that is the graph's own fault, and found elsewhere.
        return
    names = list(LEVELS)
    sound = next(level for level in reversed(names[: names.index(asked)]) if _differ(run(level), plain) <= limit)
    raise EngineError(
        f"onnxruntime {version}'s optimiser changes what the graph computes: at optimisation={asked} logits are off "
        f"by {moved[asked]:.1e} of their size, where {precision} rounds by {limit:g} at most",
        f"compile with --option optimisation={sound}, or leave onnxruntime out of --engines",
    )


def _differ(logits: NDArray[np.float32], plain: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(logits - plain) / (np.linalg.norm(plain) or 1))
