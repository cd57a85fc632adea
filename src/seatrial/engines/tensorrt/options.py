"""The engine's options, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.engines.base import check_options
from seatrial.errors import UsageError

MAX_BATCH_SIZE = 64
OPT_BATCH_SIZE = 8
BUILDERS = ("trtexec", "python")
OPTIONS = {
    "workspace_mb": "memory that a layer may use while it runs, in MiB; default: all of the GPU's",
    "builder_optimization_level": "0 builds fastest, 5 searches longest; default: TensorRT's, 3",
    "timing_cache": "file of kernel timings to read and to update; default: timing.cache in the engine folder",
    "max_batch_size": f"largest batch of a free one; default: {MAX_BATCH_SIZE}",
    "opt_batch_size": f"batch that a free one is tuned for; default: {OPT_BATCH_SIZE}, or max_batch_size if smaller",
    "builder": "trtexec or python; default: trtexec where it is on the PATH",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Options as numbers and paths; None leaves it to TensorRT, or to the machine."""

    workspace_mb: int | None = None
    level: int | None = None
    timing_cache: Path | None = None
    max_batch_size: int = MAX_BATCH_SIZE
    opt_batch_size: int = OPT_BATCH_SIZE
    builder: str | None = None


def read_settings(options: Mapping[str, str], batch_sizes: tuple[int, ...] = ()) -> Settings:
    """Check what the user gave; `batch_sizes` are those that the job fixes.

    Raises:
        UsageError: an option that there is not, a value that it cannot have, or one that would be ignored.
    """
    check_options("tensorrt", options, OPTIONS)
    for name in ("max_batch_size", "opt_batch_size"):
        if name in options and batch_sizes:
            raise UsageError(f"option {name} is for a free batch, and the batch is fixed", "drop one of the two")
    level = _read_number(options, "builder_optimization_level", 0)
    if level is not None and level > 5:
        raise UsageError(
            f"option builder_optimization_level={level} is not 0 to 5", "0 builds fastest, 5 searches longest"
        )
    largest = _read_number(options, "max_batch_size") or MAX_BATCH_SIZE
    tuned = _read_number(options, "opt_batch_size") or min(OPT_BATCH_SIZE, largest)
    if tuned > largest:
        raise UsageError(
            f"option opt_batch_size={tuned} is above max_batch_size={largest}", "give a smaller opt_batch_size"
        )
    builder = options.get("builder")
    if builder is not None and builder not in BUILDERS:
        raise UsageError(f"there is no builder={builder}", f"give {' or '.join(BUILDERS)}")
    cache = options.get("timing_cache")
    workspace = _read_number(options, "workspace_mb")
    return Settings(workspace, level, Path(cache).absolute() if cache else None, largest, tuned, builder)


def _read_number(options: Mapping[str, str], name: str, least: int = 1) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < least:
        raise UsageError(f"option {name}={text} is not a number", f"give a whole number of at least {least}")
    return int(text)
