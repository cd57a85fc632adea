"""Which engine does what the guides' NPU does: the NPU where there is one, else an engine that is installed."""

from dataclasses import dataclass

from seatrial.cli.compat.call import Call
from seatrial.errors import EngineError

ORDER = ("tensorrt", "onnxruntime", "openvino", "torch")
"""Engines that take an NPU's place, the first that is installed."""
NPU = "ascend"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An engine, and how it was found."""

    engine: str
    precision: str
    device: str
    note: str

    @property
    def options(self) -> tuple[str, ...]:
        """Those of `seatrial compile`."""
        return ("--engine", self.engine, "--precision", self.precision, "--device", self.device)


def choose_engine(call: Call, precision: str, npu: bool = True) -> Chosen:
    """The engine of `--engine`, else an NPU, else the first of `ORDER` that is installed.

    Args:
        npu: whether one is looked for; a tool of another maker's GPUs means these.
        precision: what the command wants; a CPU takes its own, as its fp16 is a conversion that is no faster.

    Raises:
        UsageError: there is no engine of that name.
        EngineError: it cannot be used here, or none can.
    """
    from seatrial.engines import get_engine
    from seatrial.workflow.compile import parse_engine

    if call.engine is not None:
        spec = parse_engine(call.engine)
        return Chosen(spec.engine, spec.precision, spec.device, f"engine {spec.engine} {spec.precision}, by --engine")
    lack = "no GPU with TensorRT here"
    if npu:
        has = get_engine(NPU).probe()
        if has.missing is None:
            return Chosen(NPU, precision, has.devices[0], f"engine {NPU} {precision} on {has.devices[0]}")
        lack = f"no NPU here ({has.missing})"
    for name in ORDER:
        has = get_engine(name).probe()
        if has.missing is None and has.devices:
            device = has.devices[0]
            is_native = device != "cpu" and precision in has.precisions and precision not in has.in_graph
            own = precision if is_native else has.precisions[0]
            here = f"{name} {own} on {device}"
            is_meant = not npu and name == ORDER[0]
            return Chosen(name, own, device, f"engine {here}" if is_meant else f"{lack}: {here} does it")
    raise EngineError("no engine can be used here", "`seatrial doctor` says what each of them needs")
