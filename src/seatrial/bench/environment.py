"""What the machine is, what is installed on it, and what else it was doing."""

import importlib.metadata
import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from seatrial.engines.cpu import count_cores, read_flags
from seatrial.store.files import hash_value
from seatrial.store.records import Environment

DEFAULT = (
    "seatrial",
    "numpy",
    "torch",
    "timm",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "nncf",
    "tensorrt",
    "cuda-bindings",
    "pillow",
    "simplejpeg",
)
"""Distributions whose version can move a result."""


def read_environment(packages: Sequence[str] = DEFAULT) -> Environment:
    """The machine, and the versions of those `packages` that are installed; imports none of them."""
    return Environment(
        cpu=_read_cpu_name(),
        cpu_flags=read_flags(),
        cores=count_cores(),
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        versions=_read_versions(packages),
    )


def machine_hash(environment: Environment) -> str:
    """What makes figures comparable: the sha256 of CPU, flags, cores, memory in whole GiB and system."""
    return hash_value(
        {
            "cpu": environment.cpu,
            "cpu_flags": sorted(environment.cpu_flags),
            "cores": environment.cores,
            # The kernel keeps a little for itself, more or less of it after each boot.
            "memory_gib": round(environment.memory_bytes / 2**30),
            "system": environment.system,
        }
    )


def name_machine(environment: Environment) -> str:
    """What may move the last bits of an answer where the software is the same: the CPU and its flags."""
    return f"{environment.cpu} ({' '.join(environment.cpu_flags)})"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What else the machine was doing when a measurement began."""

    busy: float
    """Share 0..1 of all processor time that somebody used."""
    swap_bytes: int
    """Memory that lay on disk."""


def read_conditions(seconds: float = 1.0) -> Conditions:
    """Watch the machine for `seconds`; blocks that long.

    The load average would still count the compiling that ended just before, for minutes.
    """
    with warnings.catch_warnings():
        # A container may hide the counters of swapping; the size, which is read here, it does not.
        warnings.simplefilter("ignore", RuntimeWarning)
        swap = psutil.swap_memory().used
    return Conditions(busy=psutil.cpu_percent(interval=seconds) / 100, swap_bytes=swap)


def _read_cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read_versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
