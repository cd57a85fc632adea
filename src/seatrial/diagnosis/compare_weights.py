"""Which weights of one graph are not those of another."""

import numpy as np
import onnx
from onnx import numpy_helper


def compare_weights(made: onnx.ModelProto, stored: onnx.ModelProto) -> str:
    """How the weights of `stored` differ from those of `made`, in words; the largest change is named."""
    ours, theirs = (
        {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer} for model in (made, stored)
    )
    if ours.keys() != theirs.keys():
        count = len(ours.keys() ^ theirs.keys())
        return f"{count} weights are in one graph only: other versions of the exporter, or another graph"
    changes = {name: _measure(ours[name], theirs[name]) for name in ours}
    changed = [name for name, change in changes.items() if change]
    if not changed:
        return "its weights are the same, its nodes are not"
    worst = max(changed, key=lambda name: changes[name])
    verb = "differs" if len(changed) == 1 else "differ"
    return f"{len(changed)} of {len(ours)} weights {verb}, '{worst}' by up to {changes[worst]:.2g}"


def _measure(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return np.inf
    if np.array_equal(ours, theirs):
        return 0.0
    largest = float(np.abs(theirs.astype(np.float64) - ours.astype(np.float64)).max())
    return largest if largest > 0 else np.inf
