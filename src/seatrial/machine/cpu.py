"""What this CPU can compute in, read from the operating system."""

import os
from collections.abc import Mapping
from pathlib import Path

from seatrial.errors import UsageError

FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "i8mm",
)
"""The flags that decide which precisions run at full rate: x86's and Arm's."""


def read_cpuinfo(*names: str) -> str | None:
    """What Linux says of the first core under the first of these names, in lower case; None where it says nothing."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else ()
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith(names)), None)


def read_flags() -> tuple[str, ...]:
    """Those of `FLAGS` that the CPU has; empty where the system does not list them (macOS, Windows)."""
    words = (read_cpuinfo("flags", "features") or "").split()
    return tuple(flag for flag in FLAGS if flag in words)


def has_fast_bf16() -> bool:
    """Whether bf16 arithmetic is in the hardware (AMX or AVX512-BF16, Arm's bf16), not emulated."""
    return bool({"amx_bf16", "avx512_bf16", "bf16"} & set(read_flags()))


def count_cores() -> int:
    """Cores that this process may use: affinity and the cgroup's CPU quota are respected."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _cgroup_quota() or cores))


def count_threads(options: Mapping[str, str], streams: int = 1) -> int:
    """Threads for one run: the engine option `threads`, else all cores shared by the streams.

    Raises:
        UsageError: the option is not a whole number above 0.
    """
    return read_threads(options) or max(1, count_cores() // streams)


def read_threads(options: Mapping[str, str]) -> int | None:
    """The engine option `threads`; None where it is not given.

    Raises:
        UsageError: it is not a whole number above 0.
    """
    threads = options.get("threads")
    if threads is None:
        return None
    if not threads.isdecimal() or int(threads) == 0:
        raise UsageError(f"option threads={threads} is not a number", "give a whole number above 0")
    return int(threads)


def _cgroup_quota() -> int | None:
    v2, v1 = Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu")
    try:
        if v2.exists():
            quota, period = v2.read_text().split()
        else:
            quota = (v1 / "cpu.cfs_quota_us").read_text().strip()
            period = (v1 / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return None
