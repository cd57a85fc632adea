"""Fold and clean a graph without changing what it accepts or answers."""

import onnx
import onnxslim

from seatrial.errors import EngineError
from seatrial.export.graph import read_facts


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with constants folded and dead nodes gone (onnxslim).

    Raises:
        EngineError: the simplified graph has another opset, input or output.
    """
    before = read_facts(model)
    slim: onnx.ModelProto = onnxslim.slim(onnx.ModelProto.FromString(model.SerializeToString()))
    onnx.checker.check_model(slim)
    after = read_facts(slim)
    if after != before:
        raise EngineError(f"simplifying changed the graph's ends from {before} to {after}", "try --no-simplify")
    return slim
