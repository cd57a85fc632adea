"""Open the engine file of a package in OpenVINO, without seatrial."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def open_engine(path: Path, runtime: Mapping[str, Any], output: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The model, compiled in the precision that was measured."""
    # Its import would report its use to its makers.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    settings = dict(runtime["settings"])
    if runtime["target"] == "CPU":
        settings["INFERENCE_NUM_THREADS"] = runtime["threads"]
    request = openvino.Core().compile_model(path, runtime["target"], settings).create_infer_request()

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        request.set_input_tensor(openvino.Tensor(batch))
        request.infer()
        return np.array(request.get_output_tensor().data)

    return run
