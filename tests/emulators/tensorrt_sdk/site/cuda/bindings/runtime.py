"""EMULATOR for tests of CUDA's runtime bindings: host memory plays the GPU's. It has not met hardware.

Only what the engine uses, with the names, arguments and results of `cuda.bindings.runtime`. Stricter than a GPU where
that finds mistakes: what is put on a stream happens when the stream is synchronised and not before, and an address
must lie in a live block of the right side. Time is made up: 1 ms for each million bytes copied.

The environment says what there is: EMULATED_GPUS as `NAME:CAPABILITY` joined by `;` (empty: no GPU), and
EMULATED_GPU_BYTES how much memory each has.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

DEFAULT_GPUS = "Emulated GPU:8.6"
cudaStreamNonBlocking = 1


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorInvalidResourceHandle = 400
    cudaErrorNotReady = 600
    cudaErrorIllegalAddress = 700


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


WORDS = {
    cudaError_t.cudaErrorInvalidValue: b"invalid argument",
    cudaError_t.cudaErrorMemoryAllocation: b"out of memory",
    cudaError_t.cudaErrorNoDevice: b"no CUDA-capable device is detected",
    cudaError_t.cudaErrorInvalidDevice: b"invalid device ordinal",
    cudaError_t.cudaErrorInvalidResourceHandle: b"invalid resource handle",
    cudaError_t.cudaErrorNotReady: b"device not ready",
    cudaError_t.cudaErrorIllegalAddress: b"an illegal memory access was encountered",
}
OK = (cudaError_t.cudaSuccess,)


class Handle:
    """A stream or an event."""

    def __init__(self, gpu: int) -> None:
        self.gpu = gpu
        self.clock_ms = 0.0
        self.waiting: list[tuple[Callable[[], None], float]] = []
        self.recorded_ms: float | None = None

    def __int__(self) -> int:
        return id(self)


device_memory: dict[int, Any] = {}
host_memory: dict[int, Any] = {}
handles: dict[int, Handle] = {}
thread = threading.local()


def enqueue(stream: int, work: Callable[[], None], takes_ms: float) -> cudaError_t:
    """Put work on a stream; not part of CUDA's interface, the emulated TensorRT uses it."""
    found = handles.get(stream)
    if found is None or found.gpu != current_gpu():
        return cudaError_t.cudaErrorInvalidResourceHandle
    found.waiting.append((work, takes_ms))
    return cudaError_t.cudaSuccess


def current_gpu() -> int:
    return getattr(thread, "gpu", 0)


def holds(memory: dict[int, Any], address: int, size: int) -> bool:
    """Whether the bytes lie in one live block."""
    return any(start <= address and address + size <= start + len(block) for start, block in memory.items())


def list_emulated() -> list[tuple[str, str]]:
    listed = os.environ.get("EMULATED_GPUS", DEFAULT_GPUS)
    return [tuple(gpu.rsplit(":", 1)) for gpu in listed.split(";") if gpu]  # type: ignore[misc]


def cudaGetDeviceCount() -> tuple[Any, ...]:
    gpus = list_emulated()
    return (cudaError_t.cudaSuccess, len(gpus)) if gpus else (cudaError_t.cudaErrorNoDevice, None)


def cudaGetDeviceProperties(device: int) -> tuple[Any, ...]:
    name, capability = list_emulated()[device]
    major, minor = capability.split(".")
    return cudaError_t.cudaSuccess, SimpleNamespace(name=name.encode(), major=int(major), minor=int(minor))


def cudaSetDevice(device: int) -> tuple[Any, ...]:
    if not 0 <= device < len(list_emulated()):
        return (cudaError_t.cudaErrorInvalidDevice,)
    thread.gpu = device
    return OK


def cudaGetErrorString(error: cudaError_t) -> tuple[Any, ...]:
    return cudaError_t.cudaSuccess, WORDS[error]


def cudaMalloc(size: int) -> tuple[Any, ...]:
    taken = sum(len(block) for block in device_memory.values())
    if taken + size > int(os.environ.get("EMULATED_GPU_BYTES", 2**30)):
        return cudaError_t.cudaErrorMemoryAllocation, None
    return cudaError_t.cudaSuccess, _allocate(device_memory, size)


def cudaMallocHost(size: int) -> tuple[Any, ...]:
    return cudaError_t.cudaSuccess, _allocate(host_memory, size)


def _allocate(memory: dict[int, Any], size: int) -> int:
    block = (ctypes.c_uint8 * size)()
    address = ctypes.addressof(block)
    memory[address] = block
    return address


def cudaFree(devPtr: int) -> tuple[Any, ...]:
    return OK if device_memory.pop(devPtr, None) is not None else (cudaError_t.cudaErrorInvalidValue,)


def cudaFreeHost(ptr: int) -> tuple[Any, ...]:
    return OK if host_memory.pop(ptr, None) is not None else (cudaError_t.cudaErrorInvalidValue,)


def cudaMemcpyAsync(dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: Handle) -> tuple[Any, ...]:
    sides = (device_memory, host_memory)
    target, source = sides if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else sides[::-1]
    if not holds(target, dst, count) or not holds(source, src, count):
        return (cudaError_t.cudaErrorIllegalAddress,)
    return (enqueue(int(stream), lambda: _copy(dst, src, count), count / 1e6),)


def _copy(dst: int, src: int, count: int) -> None:
    ctypes.memmove(dst, src, count)


def cudaStreamCreateWithFlags(flags: int) -> tuple[Any, ...]:
    return cudaError_t.cudaSuccess, _make_handle()


def cudaEventCreate() -> tuple[Any, ...]:
    return cudaError_t.cudaSuccess, _make_handle()


def _make_handle() -> Handle:
    made = Handle(current_gpu())
    handles[int(made)] = made
    return made


def cudaStreamDestroy(stream: Handle) -> tuple[Any, ...]:
    return _destroy(stream)


def cudaEventDestroy(event: Handle) -> tuple[Any, ...]:
    return _destroy(event)


def _destroy(handle: Handle) -> tuple[Any, ...]:
    return OK if handles.pop(int(handle), None) is not None else (cudaError_t.cudaErrorInvalidResourceHandle,)


def cudaStreamSynchronize(stream: Handle) -> tuple[Any, ...]:
    while stream.waiting:
        work, takes_ms = stream.waiting.pop(0)
        work()
        stream.clock_ms += takes_ms
    return OK


def cudaEventRecord(event: Handle, stream: Handle) -> tuple[Any, ...]:
    def mark() -> None:
        event.recorded_ms = stream.clock_ms

    event.recorded_ms = None
    return (enqueue(int(stream), mark, 0.0),)


def cudaEventElapsedTime(start: Handle, end: Handle) -> tuple[Any, ...]:
    if start.recorded_ms is None or end.recorded_ms is None:
        return cudaError_t.cudaErrorNotReady, None
    return cudaError_t.cudaSuccess, end.recorded_ms - start.recorded_ms
