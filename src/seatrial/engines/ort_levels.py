"""How far onnxruntime may rewrite a graph, and whether the graph still computes the same at that level."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import EngineError, UsageError

WRONG_REWRITES = ("Pad_Fusion",)
"""Of onnxruntime 1.31: puts a padding with zeros into the max pooling behind it, which then pads with the least number
instead: wrong wherever a border has only negative values."""
LEVELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "disabled": ("ORT_DISABLE_ALL", ()),
    "basic": ("ORT_ENABLE_BASIC", ()),
    "extended": ("ORT_ENABLE_EXTENDED", ()),
    "careful": ("ORT_ENABLE_ALL", WRONG_REWRITES),
    "all": ("ORT_ENABLE_ALL", ()),
}
"""Values of the option `optimisation`, the lowest first: onnxruntime's name of the level, and the rewrites left out."""
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
        raise UsageError(f"there is no level optimisation={text}", f"give one of {', '.join(LEVELS)}")
    return text


def choose_level(
    requested: str | None, precision: str, run: Callable[[str], NDArray[np.float32]], version: str
) -> tuple[str, str | None]:
    """The highest level at which a graph computes what its nodes do unoptimised; and why, where it had to be lowered.

    Args:
        requested: the only level that will do; None takes any.
        run: logits (n, classes) of the same images at a level.

    Raises:
        EngineError: the graph computes something else at the requested level; names the highest sound one.
    """
    first, limit = requested or "all", MOST_MOVED.get(precision, COARSE_MOVED)
    plain = run("disabled")
    moved = _differ(run(first), plain)
    if not moved > limit:  # Nor where they are not numbers: that is the graph's own fault, and finding elsewhere.
        return first, None
    names = list(LEVELS)
    sound = next(level for level in reversed(names[: names.index(first)]) if _differ(run(level), plain) <= limit)
    finding = (
        f"onnxruntime {version}'s optimiser changes what the graph computes: at optimisation={first} logits are off "
        f"by {moved:.1e} of their size, where {precision} rounds by {limit:g} at most"
    )
    if requested is None:
        return sound, f"{finding}; compiled at optimisation={sound}"
    raise EngineError(finding, f"compile with --option optimisation={sound}, or without this option")


def _differ(logits: NDArray[np.float32], plain: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(logits - plain) / (np.linalg.norm(plain) or 1))
