"""Whether an error means that memory, or the addresses that `ulimit -v` leaves, ran out; a crash is no such error."""

import errno
import re
import resource

TYPES = ("MemoryError", "OutOfMemoryError")
"""Names of classes: Python's and numpy's, and torch's for CUDA and other accelerators."""
CODES = re.compile(
    r"std::bad_alloc"
    r"|DefaultCPUAllocator: (can't allocate memory|not enough memory)"  # torch
    r"|\b(CUDA|NPU|HIP|XPU) out of memory|CUDA error: out of memory"  # torch, torch_npu
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|CUDA failure 2: out of memory"
    r"|(CUDNN|CUBLAS|CUFFT)_STATUS_ALLOC_FAILED"
    r"|Failed to allocate memory for requested buffer"  # onnxruntime's arena
    r"|CL_MEM_OBJECT_ALLOCATION_FAILURE|CL_OUT_OF_HOST_MEMORY|Exceeded max size of memory object allocation"  # openvino
    r"|ACL_ERROR_RT_MEMORY_ALLOCATION|\b207001\b"  # Ascend's runtime
    r"|Cannot allocate memory"  # strerror(ENOMEM)
    r"|failed to map segment from shared object|cannot allocate memory in static TLS"  # ld.so
    r"|can't start new thread|[Tt]hread creation failed|pthread_create failed"
)
"""What libraries write that raise a class of their own for everything."""
LIMITED = re.compile(r"could not create a primitive|error return without exception set|Failed to serialize proto")
"""What oneDNN, Python and protobuf say of many things; in a process with a limit on its addresses it is this one."""
CRASHED = re.compile(r"illegal memory access|illegal address|misaligned address|device-side assert", re.IGNORECASE)
"""After these a device fails every call with an error, which may name any of the above."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch, or more memory, might do."""
    if CRASHED.search(str(error)):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    named = any(kind.__name__ in TYPES for kind in type(error).__mro__)
    return named or _names_it(str(error))


def pass_on(error: Exception) -> None:
    """Raise an error again that says so, as it is then about no file, graph or network."""
    if is_out_of_memory(error):
        raise error


def says_out_of_memory(text: str) -> bool:
    """Whether the last words of a process that died say so."""
    return CRASHED.search(text) is None and ("MemoryError" in text or _names_it(text))


def _names_it(text: str) -> bool:
    if CODES.search(text) is not None:
        return True
    return LIMITED.search(text) is not None and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def describe_limit() -> str:
    """The limit on this process's address space, in words; empty where there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f"; `ulimit -v` leaves it {limit / 2**30:.1f} GiB of addresses"
