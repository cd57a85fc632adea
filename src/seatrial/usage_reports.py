"""The reports of their use that libraries send to their makers: none is sent from here, unless the user wants it."""

import os
import sys

OFF = {
    "ORT_DISABLE_TELEMETRY": "1",
    "NNCF_CI": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's data library besides, with the process that would collect them.
    "RAY_DATA_USAGE_DISABLED": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Variables that ONNX Runtime, NNCF, Ray, MLflow and huggingface-hub read when they are imported."""
REPORTER = "openvino_telemetry"
"""OpenVINO has no such variable; without this package its import takes a stub of its own."""


def turn_off() -> None:
    """Turn every report off that this environment does not set itself, for this process and those that it starts."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
    if REPORTER not in sys.modules:
        # So `import` finds that there is none.
        sys.modules[REPORTER] = None  # type: ignore[assignment]
