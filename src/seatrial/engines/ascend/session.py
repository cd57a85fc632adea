"""Running an `.om` file through `ais_bench`."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing, Pool
from seatrial.engines.ascend.machine import source_hint
from seatrial.engines.base import StageTimes, check_batch, pad_batch
from seatrial.errors import EngineError, RefusedFile, first_line
from seatrial.store.records import TensorSpec


@dataclass(frozen=True, slots=True)
class OmFile:
    """What to load, and how it is fed."""

    path: Path
    device_number: int
    input: TensorSpec
    """Its first size is the batch that is fed; None takes any and splits it into gears."""
    output: TensorSpec
    gears: tuple[int, ...] = ()
    """Batch sizes that the file has; empty for one of a fixed size."""


class AscendSession(Closing):
    """A model loaded once per stream; `run` may be called from as many threads."""

    def __init__(self, file: OmFile, streams: int = 1) -> None:
        interface = import_interface()
        self.input, self.output = file.input, file.output
        self._gears = tuple(sorted(file.gears))
        self._idle: Pool[Any] = Pool()
        self._models: list[Any] = []
        for _ in range(streams):
            try:
                with _banners_to_stderr():
                    model = interface.InferSession(file.device_number, str(file.path))
            except Exception as error:  # pybind11 gives what the C++ side raises no common base
                self.close()
                raise RefusedFile(
                    f"ais_bench does not load {file.path} ({first_line(error)})", "compile it again on this machine"
                ) from None
            self._models.append(model)
            self._idle.put(model)
        self._check_bytes(file)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        with self._idle.borrow() as model:
            return self._infer(model, batch)

    def close(self) -> None:
        """Unload the model."""
        with _banners_to_stderr():
            for model in self._models:
                # Older releases free it with the object.
                getattr(model, "free_resource", lambda: None)()
        self._models, self._idle = [], Pool()

    def _infer(self, model: Any, batch: NDArray[Any]) -> NDArray[np.float32]:
        mode = "dymbatch" if self._gears else "static"
        parts = []
        for begin, end in pairwise(accumulate(split_batch(len(batch), self._gears), initial=0)):
            gear = next((size for size in self._gears if size >= end - begin), None)
            part = np.ascontiguousarray(pad_batch(batch[begin:end], gear))
            try:
                outputs = model.infer([part], mode=mode)
            except RuntimeError as error:
                raise EngineError(
                    f"the NPU fails at a batch of {len(part)} ({first_line(error)})",
                    "take a smaller --batch-size; see `npu-smi info`",
                ) from None
            parts.append(self._read(outputs, len(part))[: end - begin])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, outputs: Sequence[NDArray[Any]], batch_size: int) -> NDArray[np.float32]:
        """Logits of one inference; a copy, since the runtime may keep the array it gives."""
        classes, found = self.output.shape[1], outputs[0].shape
        if prod(found) != batch_size * (classes or 1):
            raise EngineError(
                f"the model gives {'×'.join(map(str, found))} logits for {batch_size} images of {classes} classes",
                "compile it again from its graph",
            )
        return np.array(outputs[0], dtype=np.float32).reshape(batch_size, -1)

    def _check_bytes(self, file: OmFile) -> None:
        """Hold what the loaded model takes against what will be fed."""
        largest = max(self._gears, default=file.input.shape[0]) or 1
        wanted = largest * prod(size or 1 for size in file.input.shape[1:]) * np.dtype(file.input.dtype).itemsize
        inputs = self._models[0].get_inputs()
        found = inputs[0].size if inputs else 0
        if found != wanted:
            self.close()
            raise RefusedFile(
                f"{file.path} takes {found:,} bytes for {largest} images, not {wanted:,}", "compile it again"
            )


class TimedAscendSession(AscendSession):
    """A session of one stream, which knows where each run's time goes: the runtime counts copies per process."""

    def __init__(self, file: OmFile) -> None:
        super().__init__(file)
        self._memory: Any = import_interface().MemorySummary
        self._one_at_a_time = threading.Lock()

    def run_timed(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], StageTimes]:
        """As `run`, with the times of copying in, computing (execution only) and copying out."""
        check_batch(batch, self.input)
        with self._one_at_a_time, self._idle.borrow() as model:
            self._memory.reset()
            _call(model, "reset_summaryinfo", "reset_sumaryinfo")
            logits = self._infer(model, batch)
            copy_in = sum(_call(self._memory, "get_h2d_time_list", "get_H2D_time_list"))
            copy_out = sum(_call(self._memory, "get_d2h_time_list", "get_D2H_time_list"))
            executions = _call(model, "summary", "sumary").exec_time_list
        return logits, StageTimes(copy_in, sum(_read_ms(entry) for entry in executions), copy_out)


def split_batch(count: int, gears: tuple[int, ...]) -> list[int]:
    """The sizes of the runs for `count` images: whole largest gears, then the rest; all at once without gears."""
    if not gears:
        return [count]
    whole, rest = divmod(count, gears[-1])
    return [gears[-1]] * whole + ([rest] if rest else [])


def import_interface() -> Any:
    """The module `ais_bench.infer.interface`.

    Raises:
        EngineError: it cannot be imported, mostly because a library of CANN is not found.
    """
    try:
        import ais_bench.infer.interface as interface
    except ImportError as error:
        raise EngineError(f"ais_bench cannot be imported ({first_line(error)})", source_hint()) from None
    return interface


@contextmanager
def _banners_to_stderr() -> Iterator[None]:
    """The runtime prints its progress to stdout from C++, where only results belong."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _call(target: Any, name: str, older: str) -> Any:
    """Call a method that older releases spell differently."""
    return getattr(target, name if hasattr(target, name) else older)()


def _read_ms(entry: Any) -> float:
    """The duration of one execution: a number, or its start and end."""
    if isinstance(entry, Sequence):
        return float(entry[1] - entry[0])
    return float(entry)
