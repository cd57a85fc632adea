"""What an accelerator does while nothing of ours runs on it: how busy it is, and who has memory on it."""

import os
import time
from collections.abc import Callable, Sequence

import psutil

from seatrial.machine.ascend import read_chip
from seatrial.machine.nvidia import find_gpu
from seatrial.store.measurement import DeviceProcess, DeviceUse

IDLE = 0.05
"""Share of the time: an accelerator that computes no more than this is idle."""
SETTLE_S = 1.2
"""A driver counts over up to a second, so that our own work, which has just ended, is out of it after this."""


def read_device_use(device: str, wait: Callable[[float], None] = time.sleep) -> DeviceUse | None:
    """How busy an accelerator is without us; blocks for a second where it is not idle at once.

    Returns:
        None where no driver reports on the device, as on a CPU.
    """
    use = _read(device)
    if use is not None and (use.busy or 0.0) > IDLE:
        wait(SETTLE_S)
        use = _read(device)
    return use


def _read(device: str) -> DeviceUse | None:
    gpu = find_gpu(device)
    if gpu is not None:
        return _describe(gpu.read_busy(), gpu.used_bytes(), gpu.list_processes())
    chip = read_chip(device)
    return None if chip is None else _describe(chip.busy, chip.memory_bytes, chip.processes)


def _describe(busy: float | None, memory_bytes: int | None, processes: Sequence[DeviceProcess]) -> DeviceUse:
    own = _list_family()
    named = [_name(process) for process in processes if process.pid not in own]
    others = tuple(process for process in named if process is not None)
    return DeviceUse(busy=busy, memory_bytes=memory_bytes, others=others, hidden=len(named) - len(others))


def _list_family() -> set[int]:
    """This process, its parents and its children: what is theirs on the device is ours."""
    this = psutil.Process()
    return {os.getpid(), *(each.pid for each in (*this.parents(), *this.children(recursive=True)))}


def _name(process: DeviceProcess) -> DeviceProcess | None:
    """The process with its name; None where no process has this number here."""
    try:
        here = psutil.Process(process.pid)
        return process if process.name else process.model_copy(update={"name": here.name()})
    except psutil.Error:
        return None
