"""Whether an error means that memory ran out: an illegal access to memory is a crash."""

import errno
import re

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
)
"""What libraries write that raise a class of their own for everything."""
CRASHED = re.compile(r"illegal memory access|illegal address|misaligned address|device-side assert", re.IGNORECASE)
"""After these a device fails every call with an error, which may name any of the above."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch might do."""
    if CRASHED.search(str(error)):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    named = any(kind.__name__ in TYPES for kind in type(error).__mro__)
    return named or CODES.search(str(error)) is not None
