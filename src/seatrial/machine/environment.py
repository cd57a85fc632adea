"""What the machine is, what is installed on it, and what else it was doing."""

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil

from seatrial.machine.ascend import list_chips
from seatrial.machine.cpu import count_cores, read_cpuinfo, read_flags
from seatrial.machine.nvidia import list_gpus
from seatrial.store.files import hash_value
from seatrial.store.measurement import Accelerator, Environment

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
CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
_CGROUP = Path("/sys/fs/cgroup")


def read_environment(packages: Sequence[str] = DEFAULT) -> Environment:
    """The machine, and the versions of those `packages` that are installed; imports none of them."""
    return Environment(
        cpu=read_cpuinfo("model name") or platform.processor() or platform.machine(),
        cpu_flags=read_flags(),
        cores=count_cores(),
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: found for name in packages if (found := find_version(name)) is not None},
        memory_limit_bytes=_read_memory_limit(),
        governor=_read_line(CPUFREQ / "scaling_governor"),
        clock_mhz=read_mhz(CPUFREQ / "cpuinfo_max_freq"),
        accelerators=(*(gpu.describe() for gpu in list_gpus()), *(Accelerator(name=c.name) for c in list_chips())),
    )


def find_version(distribution: str) -> str | None:
    """The version of what is installed under that name, which is not imported; None where nothing is."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine_hash(environment: Environment) -> str:
    """What makes figures comparable: the sha256 of `describe_machine`."""
    return hash_value(describe_machine(environment))


def describe_machine(environment: Environment) -> dict[str, object]:
    """What a figure depends on: CPU, flags, cores, memory in whole GiB, system, and accelerators with their drivers."""
    facts: dict[str, object] = {
        "cpu": environment.cpu,
        "cpu_flags": sorted(environment.cpu_flags),
        "cores": environment.cores,
        # The kernel keeps a little for itself, more or less of it after each boot.
        "memory_gib": round(environment.memory_bytes / 2**30),
        "system": environment.system,
    }
    if environment.accelerators:
        facts["accelerators"] = [f"{chip.name} {chip.driver or ''}".strip() for chip in environment.accelerators]
    return facts


def find_changes(before: Environment, now: Environment) -> list[str]:
    """How the machine or the software differs from an earlier one: `cores: 2, now 4`."""
    old, new = ({**describe_machine(e), "governor": e.governor, **e.versions} for e in (before, now))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name}: {_say(old.get(name))}, now {_say(new.get(name))}" for name in names]


def _say(value: object) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def name_machine(environment: Environment) -> str:
    """What may change the last bits of logits where the software is the same: the CPU and its flags."""
    return f"{environment.cpu} ({' '.join(environment.cpu_flags)})"


def read_mhz(path: Path) -> float | None:
    """A clock rate in MHz from a file in kHz of the kernel's; None where there is no such file or number."""
    line = _read_line(path)
    return float(line) / 1000 if line is not None and line.isdecimal() else None


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _read_memory_limit() -> int | None:
    """Of the cgroup; version 1 writes a number beyond all memory for none."""
    line = _read_line(_CGROUP / "memory.max") or _read_line(_CGROUP / "memory" / "memory.limit_in_bytes")
    limit = int(line) if line is not None and line.isdecimal() else None
    return None if limit is None or limit >= psutil.virtual_memory().total else limit
