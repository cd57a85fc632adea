"""What the machine is, what is installed on it, and what else it was doing."""

import importlib.metadata
import os
import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from seatrial.engines.ascend.machine import list_chips
from seatrial.machine.cpu import count_cores, read_flags
from seatrial.machine.nvidia import find_gpu, list_gpus
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
LEAST_PROCESSOR_S = 0.5
"""The kernel counts processor time in hundredths of a second: less than this tells nothing."""
_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
_CGROUP = Path("/sys/fs/cgroup")


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
        memory_limit_bytes=_read_memory_limit(),
        governor=_read_line(_CPUFREQ / "scaling_governor"),
        clock_mhz=_read_mhz(_CPUFREQ / "cpuinfo_max_freq"),
        accelerators=(*(gpu.describe() for gpu in list_gpus()), *(Accelerator(name=c.name) for c in list_chips())),
    )


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
    """What may move the last bits of an answer where the software is the same: the CPU and its flags."""
    return f"{environment.cpu} ({' '.join(environment.cpu_flags)})"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What else the machine was doing when a measurement began."""

    busy: float
    """Share 0..1 of all processor time that somebody used."""
    swap_bytes: int
    """Memory that lay on disk."""
    on_battery: bool = False


def read_conditions(seconds: float = 1.0) -> Conditions:
    """Watch the machine for `seconds`; blocks that long.

    The load average would still count the compiling that ended just before, for minutes.
    """
    with warnings.catch_warnings():
        # A container may hide the counters of swapping; the size, which is read here, it does not.
        warnings.simplefilter("ignore", RuntimeWarning)
        swap = psutil.swap_memory().used
    # Only systems with batteries have the function.
    battery = getattr(psutil, "sensors_battery", lambda: None)()
    on_battery = battery is not None and battery.power_plugged is False
    return Conditions(psutil.cpu_percent(interval=seconds) / 100, swap, on_battery)


class Load:
    """What other processes used of the processors since it was made."""

    def __init__(self) -> None:
        self._begun = _read_processor_times()

    def read(self) -> float | None:
        """Share 0..1 of all processor time; None if too little has passed to tell."""
        total, busy, own = (b - a for a, b in zip(self._begun, _read_processor_times(), strict=True))
        return None if total < LEAST_PROCESSOR_S else min(1.0, max(0.0, (busy - own) / total))


def _read_processor_times() -> tuple[float, float, float]:
    """Seconds since the system's start of all processors, of those that were busy, and of this process."""
    times, own = psutil.cpu_times(), os.times()
    # A guest's time is counted in its host's user time already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total, total - times.idle - getattr(times, "iowait", 0.0), own.user + own.system


def read_clock(device: str) -> tuple[float, bool] | None:
    """MHz of the device now, and whether heat or power holds it back; None where the system does not tell."""
    gpu = find_gpu(device)
    if gpu is not None:
        return gpu.clock()
    if device != "cpu":
        return None
    clocks = [_read_mhz(path) for path in sorted(_CPUFREQ.parent.parent.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    told = [clock for clock in clocks if clock is not None]
    return (sum(told) / len(told), False) if told else None


def _read_mhz(path: Path) -> float | None:
    told = _read_line(path)
    return float(told) / 1000 if told is not None and told.isdecimal() else None


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _read_memory_limit() -> int | None:
    """Of the cgroup; version 1 writes a number beyond all memory for none."""
    told = _read_line(_CGROUP / "memory.max") or _read_line(_CGROUP / "memory" / "memory.limit_in_bytes")
    limit = int(told) if told is not None and told.isdecimal() else None
    return None if limit is None or limit >= psutil.virtual_memory().total else limit


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
