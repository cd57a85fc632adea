"""Open the engine file of a package in ONNX Runtime, without seatrial."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def open_engine(path: Path, runtime: Mapping[str, Any], output: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The graph, with the rewrites that were measured."""
    os.environ.setdefault("ORT_LOGGING_LEVEL", "3")
    # It would report its use to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = runtime["threads"]
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, runtime["level"])
    if runtime["left_out"]:
        settings.add_session_config_entry("optimization.disable_specified_optimizers", ";".join(runtime["left_out"]))
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(runtime["spinning"])))
    placed = [(runtime["provider"], runtime["provider_options"])]
    session = onnxruntime.InferenceSession(str(path), settings, providers=placed)
    if session.get_providers()[0] != runtime["provider"]:
        raise RuntimeError(f"{runtime['provider']} was measured, and onnxruntime runs on {session.get_providers()[0]}")
    name = session.get_inputs()[0].name
    return lambda batch: session.run([output], {name: batch})[0]
