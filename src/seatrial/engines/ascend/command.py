"""The command lines of `atc`: one for each batch size, or one for all of them as gears."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.engines.ascend.options import MODES, list_files, uses_gears
from seatrial.engines.base import CompileJob


@dataclass(frozen=True, slots=True)
class AtcCall:
    """One run of `atc`, in the engine folder."""

    words: tuple[str, ...]
    name: str
    """Of the file that comes out, without `.om`."""
    batch_sizes: tuple[int, ...]
    """That the file serves."""

    @property
    def line(self) -> str:
        """As it is typed into a shell."""
        return shlex.join(self.words)


def plan_calls(job: CompileJob, soc_version: str) -> tuple[AtcCall, ...]:
    """What to run for a checked job.

    Paths are relative to the engine folder but for the graph's, so that the lines still run when it has been moved.
    """
    sizes = job.batch_sizes
    if uses_gears(job.options):
        return (_plan(job, "model-gears", sizes, soc_version),)
    return tuple(_plan(job, f"model-{size}", (size,), soc_version) for size in sizes)


def _plan(job: CompileJob, name: str, sizes: tuple[int, ...], soc_version: str) -> AtcCall:
    spec = job.manifest.input
    batch = sizes[0] if len(sizes) == 1 else -1
    shape = ",".join(str(size) for size in (batch, *spec.shape[1:]))
    flags = {
        "framework": "5",
        "model": str(job.graph.absolute()),
        "output": name,
        "input_format": "NCHW" if spec.layout == "NCHW" else "ND",
        "input_shape": f"{spec.name}:{shape}",
    }
    if batch == -1:
        flags["dynamic_batch_size"] = ",".join(str(size) for size in sorted(sizes))
    flags["soc_version"] = soc_version
    # Written out because what `atc` takes without it differs from chip to chip.
    if "precision_mode_v2" not in job.options:
        flags["precision_mode"] = MODES[job.precision][0]
    flags |= _translate(job.options)
    return AtcCall(("atc", *(f"--{flag}={value}" for flag, value in flags.items())), name, sizes)


def _translate(options: Mapping[str, str]) -> dict[str, str]:
    """The options as flags: a file is named as it is kept in the engine folder."""
    kept: Mapping[str, Path] = list_files(options)
    return {name: kept[name].name if name in kept else value for name, value in options.items() if name != "gears"}
