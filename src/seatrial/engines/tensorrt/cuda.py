"""CUDA's devices, memory, streams and events, through `cuda.bindings` and behind these few names.

Not through torch: importing it takes seconds and a gigabyte that would count as the engine's own loading, and a CPU
build of torch has no CUDA at all, while TensorRT and CUDA's bindings need none of it.
"""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.engines.base import StageTimes
from seatrial.errors import EngineError
from seatrial.extras import write_install

OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation."""


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """One device as CUDA lists it."""

    name: str
    compute_capability: str
    """Major and minor, as "8.6"."""


def list_cuda_devices() -> tuple[CudaDevice, ...]:
    """The GPUs in CUDA's order, which CUDA_VISIBLE_DEVICES can change.

    Raises:
        EngineError: there is none, no driver, or one that is too old.
    """
    try:
        from cuda.bindings import runtime
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(f"cuda-bindings does not load: {error}", write_install("tensorrt")) from None
    gpus = []
    for index in range(call(runtime.cudaGetDeviceCount)):
        facts = call(runtime.cudaGetDeviceProperties, index)
        name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
        gpus.append(CudaDevice(name.rstrip("\0"), f"{facts.major}.{facts.minor}"))
    if not gpus:
        raise EngineError("CUDA lists no device", "`nvidia-smi` must list one")
    return tuple(gpus)


def use_gpu(index: int) -> None:
    """Make the calling thread work on this GPU; CUDA keeps the choice by thread."""
    from cuda.bindings import runtime

    call(runtime.cudaSetDevice, index)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a CUDA function gives besides its status; None where it gives nothing.

    Raises:
        EngineError: the status is not success, in CUDA's words.
    """
    status, *values = function(*arguments)
    if int(status) == OUT_OF_MEMORY:
        raise EngineError("there is not enough GPU memory", "take a smaller batch size or fewer streams")
    if int(status) != 0:
        from cuda.bindings import runtime

        words = runtime.cudaGetErrorString(status)[1].decode()
        raise EngineError(f"CUDA: {words} ({function.__name__}, error {int(status)})", "`nvidia-smi` shows the driver")
    return values[0] if values else None


class Lane:
    """A stream with buffers for one batch on both sides: page-locked in host memory, and on the GPU.

    Serves one run at a time, from any thread.
    """

    def __init__(self, gpu: int, input_bytes: int, output_bytes: int) -> None:
        from cuda.bindings import runtime

        self._cuda: Any = runtime
        self._gpu = gpu
        use_gpu(gpu)
        with ExitStack() as made:
            self._stream = self._make(
                made, runtime.cudaStreamDestroy, runtime.cudaStreamCreateWithFlags, runtime.cudaStreamNonBlocking
            )
            self._events = [self._make(made, runtime.cudaEventDestroy, runtime.cudaEventCreate) for _ in range(4)]
            self.device_input = int(self._make(made, runtime.cudaFree, runtime.cudaMalloc, input_bytes))
            self.device_output = int(self._make(made, runtime.cudaFree, runtime.cudaMalloc, output_bytes))
            self._host_input = self._pin(made, input_bytes)
            self._host_output = self._pin(made, output_bytes)
            self._made = made.pop_all()

    @property
    def stream(self) -> int:
        """The stream's handle, as TensorRT takes it."""
        return int(self._stream)

    def run(self, batch: NDArray[Any], launch: Callable[[], None], output: NDArray[Any], timed: bool = False) -> None:
        """Copy `batch` in, `launch` on the stream, copy out into `output`; blocks until it is complete."""
        use_gpu(self._gpu)
        cuda, kinds = self._cuda, self._cuda.cudaMemcpyKind
        given, wanted = self._host_input[: batch.nbytes], self._host_output[: output.nbytes]
        np.copyto(given.view(batch.dtype).reshape(batch.shape), batch)
        self._mark(0, timed)
        self._copy(self.device_input, given.ctypes.data, batch.nbytes, kinds.cudaMemcpyHostToDevice)
        self._mark(1, timed)
        launch()
        self._mark(2, timed)
        self._copy(wanted.ctypes.data, self.device_output, output.nbytes, kinds.cudaMemcpyDeviceToHost)
        self._mark(3, timed)
        call(cuda.cudaStreamSynchronize, self._stream)
        np.copyto(output, wanted.view(output.dtype).reshape(output.shape))

    def read_times(self) -> StageTimes:
        """Where the last timed run spent its time on the stream; copies into page-locked memory are not in it."""
        ends = zip(self._events, self._events[1:], strict=False)
        return StageTimes(*(float(call(self._cuda.cudaEventElapsedTime, *pair)) for pair in ends))

    def close(self) -> None:
        """Free the buffers, the events and the stream; harmless the second time."""
        use_gpu(self._gpu)
        self._made.close()

    def _make(self, made: ExitStack, free: Callable[..., Any], create: Callable[..., Any], *arguments: Any) -> Any:
        handle = call(create, *arguments)
        made.callback(call, free, handle)
        return handle

    def _pin(self, made: ExitStack, size: int) -> NDArray[np.uint8]:
        address = int(self._make(made, self._cuda.cudaFreeHost, self._cuda.cudaMallocHost, size))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        call(self._cuda.cudaMemcpyAsync, target, source, size, kind, self._stream)

    def _mark(self, index: int, timed: bool) -> None:
        if timed:
            call(self._cuda.cudaEventRecord, self._events[index], self._stream)
