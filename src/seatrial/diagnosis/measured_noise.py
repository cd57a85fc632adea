"""The noise floor of each precision: a constant, or what rounding to its bits does to torch on the same images."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seatrial.diagnosis.sample import Sample
from seatrial.evaluation.parity import measure_parity
from seatrial.metrics.noise_floor import FLOORS, MANTISSA_BITS, ROUNDINGS, SAME_INT8, NoiseFloor

if TYPE_CHECKING:
    from torch import Tensor, nn

FLOAT32_BITS = 23
"""Stored bits of its mantissa."""


class Floors:
    """Noise floors of a sample by precision, each measured once."""

    def __init__(self, sample: Sample, network: "nn.Module", reference: NDArray[np.float32]) -> None:
        self._case, self._network, self._reference = sample, network, reference
        self._known = dict(FLOORS)

    def get(self, precision: str, is_in_graph: bool = False) -> NoiseFloor:
        """The floor of a step to a precision; `is_in_graph` where the step begins at a graph in that precision."""
        if precision == "int8" and is_in_graph:
            return SAME_INT8
        if precision not in self._known:
            self._known[precision] = self._measure(MANTISSA_BITS[precision])
        return self._known[precision]

    def _measure(self, bits: int) -> NoiseFloor:
        from seatrial.export.export_graph import run_network

        rounded, sample = round_network(self._network, bits), self._case
        starts = range(0, len(sample.images), sample.batch_size)
        logits = np.concatenate([run_network(rounded, sample.see(slice(i, i + sample.batch_size))) for i in starts])
        error = measure_parity(f"{bits} bits", self._reference, logits).relative_error
        floor = max(ROUNDINGS * error, FLOORS["fp32"].relative_error)
        return NoiseFloor(
            floor, f"{ROUNDINGS:g} times what rounding to {bits + 1} bits of mantissa does to torch: {error:.1e}"
        )


def round_network(network: "nn.Module", bits: int) -> "nn.Module":
    """A copy whose parameters, statistics and layers' outputs keep `bits` stored bits of mantissa, of any range."""
    import torch

    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in (*rounded.parameters(), *rounded.buffers()):
            if tensor.dtype == torch.float32:
                tensor.copy_(round_mantissa(tensor, bits))

    def round_output(layer: "nn.Module", inputs: Any, output: Any) -> Any:
        is_float = isinstance(output, torch.Tensor) and output.dtype == torch.float32
        return round_mantissa(output, bits) if is_float else output

    for layer in rounded.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_hook(round_output)
    return rounded


def round_mantissa(values: "Tensor", bits: int) -> "Tensor":
    """float32 values to the nearest ones with `bits` stored bits of mantissa, halves away from zero."""
    import torch

    dropped = FLOAT32_BITS - bits
    whole = values.contiguous().view(torch.int32) + (1 << (dropped - 1))
    return (whole & -(1 << dropped)).view(torch.float32)
