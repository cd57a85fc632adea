"""Where `seatrial infer` puts logits and summary, in the layout of one of the guides' tools."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import UsageError
from seatrial.evaluation.guide_format import (
    Course,
    OutputFormat,
    Performance,
    encode_lines,
    encode_output,
    name_output,
    write_pure,
    write_report,
    write_summary,
)
from seatrial.evaluation.run_files import Store
from seatrial.store.command_line import write_words
from seatrial.store.files import replacing, write_text

Layout = Literal["ais-bench", "benchmark", "msame"]
PureData = Literal["zero", "random"]
LOGITS = re.compile(r".+_\d+\.(txt|bin|npy)")
"""The names of files of logits, which may be replaced where that is wanted."""


@dataclass(frozen=True, slots=True)
class InferSpec:
    """Input files, and where their logits go."""

    source: str | None = None
    """A folder, an `.info` file, or files with commas between them; None is one synthetic batch."""
    output: Path | None = None
    """Folder to write to; None only measures."""
    dirname: str | None = None
    """The folder in `output`; None is the time."""
    form: OutputFormat = "BIN"
    batch_size: int | None = None
    """None is the engine's own batch size."""
    loop: int = 1
    warmup: int = 1
    layout: Layout = "ais-bench"
    pure_data: PureData = "zero"
    replace: bool = False
    """A folder of logits that is in the way is replaced."""
    device_number: int | None = None
    """The number in the names of the layout `benchmark`; None is that of the engine's own device."""

    def write_command(self, folder: Path) -> list[str]:
        """The words of the command that does this with the engine in `folder`."""
        return write_words(
            "infer",
            folder,
            outfmt=self.form,
            layout=self.layout,
            loop=self.loop,
            warmup=self.warmup,
            pure_data_type=self.pure_data,
            input=self.source,
            output=self.output,
            output_dirname=self.dirname,
            batch_size=self.batch_size,
            replace=self.replace,
            device_number=self.device_number,
        )


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where logits go."""

    folder: Path | None
    """None where none are stored."""
    summary: Path | None
    """In the form of the layout's tool; None where it writes none."""
    index: int = 0
    """The number of a classifier's one output, as the tool counts."""
    between: str = "_"
    """Stands between a file's name and that number."""
    encode: Callable[[NDArray[np.float32], OutputFormat], bytes] = encode_output

    def name(self, path: Path, form: OutputFormat) -> str:
        """The name of a file's logits."""
        return name_output(path, self.index, form, self.between)


def plan_output(spec: InferSpec, batch_size: int, device: str, model: str) -> OutputPlace | None:
    """Where the layout puts logits and summary.

    Args:
        model: the name of the engine folder.

    Raises:
        UsageError: something is there already, or the layout does not have such options.
    """
    if spec.layout != "ais-bench" and (spec.dirname is not None or spec.form == "NPY"):
        raise UsageError(
            f"the layout {spec.layout} takes --outfmt TXT or BIN, and no --output-dirname",
            "take these, or --layout ais-bench",
        )
    if spec.layout != "benchmark" and spec.device_number is not None:
        raise UsageError(f"the layout {spec.layout} has no device in its names", "leave --device-number out")
    if spec.output is None:
        if spec.dirname is not None:
            raise UsageError("--output-dirname names a folder in --output", "give --output too")
        return None
    place = _PLANNERS[spec.layout](spec, spec.output, batch_size, device, model)
    if place.folder is not None:
        _check_free(place.folder, spec.replace)
    return place


@contextmanager
def store_logits(place: OutputPlace | None, form: OutputFormat) -> Iterator[Store]:
    """Yield a function that stores a file's logits; their folder appears when the block ends well."""
    if place is None or place.folder is None:
        yield lambda path, rows: None
        return
    # Flushed one by one, small files take longer than the engine.
    with replacing(place.folder, flush=False) as folder:
        folder.mkdir()

        def store(path: Path, rows: NDArray[np.float32]) -> None:
            (folder / place.name(path, form)).write_bytes(place.encode(rows, form))

        yield store


def write_place(
    place: OutputPlace, engine: Path, spec: InferSpec, files: Sequence[Path], timed: tuple[Performance, Course]
) -> None:
    """Write the layout's summary of a run."""
    performance, course = timed
    if place.summary is None:
        return
    if spec.layout == "benchmark":
        text = write_pure(performance) if spec.source is None else write_report(performance, course)
        write_text(place.summary, text)
        return
    folder = place.folder or place.summary.parent
    outputs = ((str(path), str(folder / place.name(path, spec.form))) for path in files)
    write_text(place.summary, write_summary(outputs, spec.write_command(engine), performance, os.getpid()))


def _plan_ais_bench(spec: InferSpec, output: Path, batch_size: int, device: str, model: str) -> OutputPlace:
    folder = output / (spec.dirname or time.strftime("%Y_%m_%d-%H_%M_%S"))
    return OutputPlace(folder, folder.with_name(f"{folder.name}_summary.json"))


def _plan_benchmark(spec: InferSpec, output: Path, batch_size: int, device: str, model: str) -> OutputPlace:
    index = device.rpartition(":")[2]
    number = str(spec.device_number) if spec.device_number is not None else index if index.isdigit() else "0"
    result = output / "result"
    if spec.source is None:
        name = model.removesuffix(".om")
        return OutputPlace(None, result / f"PureInfer_perf_of_{name}_in_device_{number}.txt")
    summary = result / f"perf_vision_batchsize_{batch_size}_device_{number}.txt"
    return OutputPlace(result / f"dumpOutput_device{number}", summary, index=1)


def _plan_msame(spec: InferSpec, output: Path, batch_size: int, device: str, model: str) -> OutputPlace:
    return OutputPlace(output / time.strftime("%Y%m%d_%H%M%S"), None, between="_output_", encode=encode_lines)


_PLANNERS = {"ais-bench": _plan_ais_bench, "benchmark": _plan_benchmark, "msame": _plan_msame}


def _check_free(folder: Path, replace: bool) -> None:
    if not folder.exists():
        return
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else [folder.name]
    foreign = next((name for name in names if not LOGITS.fullmatch(name)), None)
    if folder.is_dir() and (not names or (replace and foreign is None)):
        return
    if replace:
        raise UsageError(f"{folder} has more than logits ({foreign}), so it is not replaced", "choose another folder")
    fix = "choose another --output or --output-dirname, remove it, or give --replace"
    raise UsageError(f"{folder} is there already", fix)
