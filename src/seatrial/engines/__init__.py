"""Engines: the runtimes that a graph can be compiled for, each in its own file, loaded when first used."""

from pkgutil import resolve_name

from seatrial.engines.base import Engine
from seatrial.strict import check_name

ENGINES = {
    "torch": "seatrial.engines.torch.engine:TorchEngine",
    "onnxruntime": "seatrial.engines.onnxruntime:OnnxRuntimeEngine",
    "openvino": "seatrial.engines.openvino:OpenVinoEngine",
    "tensorrt": "seatrial.engines.tensorrt:TensorRtEngine",
    "ascend": "seatrial.engines.ascend.engine:AscendEngine",
}
"""Engine name to the class that is it; adding an engine adds a line here."""


def get_engine(name: str) -> Engine:
    """The engine of that name; its SDK is not touched before it is probed.

    Raises:
        UsageError: there is no such engine; lists those there are.
    """
    check_name(name, ENGINES, f"there is no engine '{name}'")
    engine: Engine = resolve_name(ENGINES[name])()
    return engine
