"""How a network is run in PyTorch: precision, threads and layout, read from an engine's options."""

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.engines.base import read_switch
from seatrial.errors import UsageError
from seatrial.machine.cpu import count_threads

OPTIONS = {
    "mode": "eager (the default) or compiled (torch.compile, frozen: BatchNorm folded, weights laid out anew)",
    "channels_last": "true or false; default: true, but for eager fp32 on the CPU",
    "cuda_graphs": "true or false: replay recorded kernels, on CUDA only; default: true where compiled",
    "threads": "threads of one run on the CPU; default: all cores over the streams",
}


@dataclass(frozen=True, slots=True)
class TorchPlan:
    """How a network is run."""

    precision: str
    device: str
    compiled: bool
    channels_last: bool
    cuda_graphs: bool
    threads: int
    streams: int


def make_plan(precision: str, options: Mapping[str, str], device: str, streams: int = 1) -> TorchPlan:
    """How to run the network, from the engine's options.

    Raises:
        UsageError: an option has a value that it cannot have.
    """
    mode = options.get("mode", "eager")
    if mode not in ("eager", "compiled"):
        raise UsageError(f"there is no mode={mode}", "give mode=eager or mode=compiled")
    compiled, on_cpu = mode == "compiled", device == "cpu"
    graphs = read_switch(options, "cuda_graphs", compiled and device.startswith("cuda"))
    if graphs and not device.startswith("cuda"):
        raise UsageError(
            f"option cuda_graphs=true needs CUDA, and the device is {device}", "leave it out, or give --device cuda:0"
        )
    return TorchPlan(
        precision=precision,
        device=device,
        compiled=compiled,
        channels_last=read_switch(options, "channels_last", compiled or not on_cpu or precision != "fp32"),
        cuda_graphs=graphs,
        threads=count_threads(options, streams),
        streams=streams,
    )
