"""Accuracy-aware quantisation: the fewest layers, of those that err most, stay in float so that the accuracy stays.

NNCF has such a loop, but for ONNX it ranks by single right or wrong predictions, and does not name the layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from seatrial.engines.base import LEAST_SHARE
from seatrial.errors import ParityError
from seatrial.export.derived_graph import WEIGHTED
from seatrial.export.graph import run_graph
from seatrial.export.quantize import Preset, list_quantized, quantize
from seatrial.models.onnx_file import read_facts
from seatrial.progress import Progress, Update
from seatrial.report.numbers import write_points

RANKING_IMAGES = 32


@dataclass(frozen=True, slots=True)
class WithinBudget:
    """An int8 graph within its budget."""

    model: onnx.ModelProto
    keep: tuple[str, ...]
    """Nodes in float, worst first."""
    drop_pp: float


def quantize_within(
    model: onnx.ModelProto,
    images: NDArray[np.generic],
    preset: Preset,
    max_drop_pp: float,
    measure: Callable[[onnx.ModelProto], float],
    progress: Progress,
) -> WithinBudget:
    """Quantise `model` with as few of its worst layers in float as bring the drop of top-1 within `max_drop_pp`.

    Args:
        measure: the drop of a graph in points, against the float one.

    Raises:
        ParityError: it is not, with as many in float as leave half of the layers in int8.
    """

    def attempt(keep: Sequence[str]) -> WithinBudget:
        made = quantize(model, images, preset, keep)
        found = WithinBudget(made, tuple(keep), measure(made))
        note = f"with {len(keep)} layers in float top-1 drops by {write_points(found.drop_pp)} points"
        progress(Update("quantize", note=note))
        return found

    best = attempt(())
    if best.drop_pp <= max_drop_pp:
        return best
    ranked = rank_layers(model, best.model, images, preset, progress)
    return _find_fewest(attempt, best, ranked, count_spare(model, ranked), max_drop_pp)


def _find_fewest(
    attempt: Callable[[Sequence[str]], WithinBudget],
    best: WithinBudget,
    ranked: Sequence[str],
    spare: int,
    max_drop_pp: float,
) -> WithinBudget:
    """The attempt with the fewest of the ranked layers in float that is within the drop.

    Twice as many each time until it is, then the middle of what is too few and what is enough.

    Args:
        best: the attempt with none in float, which is not.
        spare: the most that may be in float.
    """
    too_few, enough = 0, 0
    while best.drop_pp > max_drop_pp:
        if enough == spare:
            raise _refuse_more(best, len(ranked), max_drop_pp)
        too_few, enough = enough, min(max(1, 2 * enough), spare)
        best = attempt(ranked[:enough])
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        found = attempt(ranked[:middle])
        if found.drop_pp <= max_drop_pp:
            best, enough = found, middle
        else:
            too_few = middle
    return best


def _refuse_more(best: WithinBudget, layers: int, max_drop_pp: float) -> ParityError:
    return ParityError(
        f"int8 drops top-1 by {write_points(best.drop_pp)} points with {len(best.keep)} of {layers} layers in "
        f"float, and {max_drop_pp:g} are allowed; with more in float it would be no int8 graph",
        "allow more, or stay with fp16 or bf16",
    )


def count_spare(model: onnx.ModelProto, ranked: Sequence[str]) -> int:
    """How many of the ranked nodes may go back so that engines still find half of the layers in int8, and one node."""
    layers = {node.name for node in model.graph.node if node.op_type in WEIGHTED}
    left = sum(name in layers for name in ranked)
    for count, name in enumerate(ranked[:-1]):
        left -= name in layers
        if left < LEAST_SHARE * len(layers):
            return count
    return max(0, len(ranked) - 1)


def rank_layers(
    model: onnx.ModelProto, quantized: onnx.ModelProto, images: NDArray[np.generic], preset: Preset, progress: Progress
) -> list[str]:
    """The quantised nodes, the one first that errs most when it alone is quantised."""
    sample = images[:RANKING_IMAGES]
    size = read_facts(model).input.shape[0]
    reference = run_graph(model, sample, size)
    nodes = {node.name for node in model.graph.node}
    errors = {}
    names = [name for name in list_quantized(quantized) if name in nodes]
    for done, name in enumerate(names):
        progress(Update("quantize", done, len(names), "layers ranked"))
        alone = quantize(model, sample, preset, nodes - {name})
        errors[name] = float(np.linalg.norm(run_graph(alone, sample, size) - reference))
    return sorted(errors, key=lambda name: -errors[name])
