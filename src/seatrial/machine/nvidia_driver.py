"""NVIDIA GPUs as the driver counts them, without any SDK."""

import ctypes
from functools import cache


@cache
def count_gpus() -> int:
    """How many GPUs this process may use (CUDA_VISIBLE_DEVICES is respected); 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
