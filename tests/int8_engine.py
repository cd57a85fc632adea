"""The onnxruntime engine as one that takes every precision from the graph."""

from dataclasses import replace

from seatrial.engines.base import Capabilities
from seatrial.engines.onnxruntime import OnnxRuntimeEngine

ENTRY = "int8_engine:InGraphEngine"
"""For the table of engines."""


class InGraphEngine(OnnxRuntimeEngine):
    """Runs whatever the graph computes in."""

    def probe(self) -> Capabilities:
        return replace(super().probe(), precisions=("fp32", "fp16", "int8"), in_graph=("fp16", "int8"))
