"""Measurements that are no longer than they must be, as no test judges what a real engine measured."""

import importlib
from collections.abc import Callable
from pathlib import Path

from seatrial.bench.sweep import SweepSpec, sweep
from seatrial.engines.base import EngineFile
from seatrial.machine.conditions import Conditions, read_conditions
from seatrial.progress import Progress
from seatrial.store.measurement import Measurement


def measure_briefly(patch: Callable[[object, str, object], object]) -> None:
    """Shorten the warm-up of a point, up to 10 s on a busy machine, and the second that a machine is watched before.

    Args:
        patch: called as `setattr`.
    """
    patch(importlib.import_module("seatrial.workflow.bench"), "sweep", _sweep_briefly)
    for name in ("sweep", "loadgen.run"):
        patch(importlib.import_module(f"seatrial.bench.{name}"), "read_conditions", _look_briefly)


def _sweep_briefly(file: EngineFile, spec: SweepSpec, progress: Progress, key: str, saved: Path) -> Measurement:
    limits = spec.limits.model_copy(update={"warmup_s": 0.02, "warmup_budget_s": 0.2})
    return sweep(file, spec.model_copy(update={"limits": limits}), progress, key, saved)


def _look_briefly() -> Conditions:
    return read_conditions(0.01)
