"""A plan loaded in TensorRT: one execution context and one stream per run at a time."""

import math
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing, Pool
from seatrial.engines.base import StageTimes, check_batch
from seatrial.engines.tensorrt.cuda import Lane, use_gpu
from seatrial.errors import EngineError, RefusedFile, UsageError, shorten
from seatrial.store.records import TensorSpec

Shape = tuple[int, ...]


@cache
def get_logger() -> Any:
    """The process's logger: TensorRT keeps the first that it is given.

    Its `errors` are those that TensorRT logged since they were last cleared, its `sink` an open log file or None.
    """
    import tensorrt

    class Log(tensorrt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.sink: IO[str] | None = None

        def log(self, severity: Any, text: str) -> None:
            if severity in (tensorrt.ILogger.INTERNAL_ERROR, tensorrt.ILogger.ERROR):
                self.errors.append(text)
            if self.sink is not None:
                self.sink.write(f"[{severity.name}] {text}\n")

    return Log()


class TensorRtSession(Closing):
    """A plan on one GPU; `run` may be called from as many threads as it has streams."""

    def __init__(self, path: Path, ends: tuple[TensorSpec, TensorSpec], gpu: int, streams: int = 1) -> None:
        import tensorrt

        self.input, self.output = ends
        self._trt: Any = tensorrt
        self._free: list[tuple[Any, Lane]] = []
        use_gpu(gpu)
        self._engine: Any = load_plan(path)
        self._check_ends(path)
        self._least, _, self._most = self._read_profile()
        self._logits_dtype = self._read_dtype(self.output.name)
        self._idle: Pool[tuple[Any, Lane]] = Pool()
        try:
            for _ in range(streams):
                self._free.append(self._make_context(gpu))
                self._idle.put(self._free[-1])
        except EngineError:
            self.close()
            raise

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        return self._run(batch, timed=False)[0]

    def run_timed(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], StageTimes]:
        """Logits (n, classes), and the times that the GPU's own events mark on the stream."""
        logits, times = self._run(batch, timed=True)
        assert times is not None
        return logits, times

    def inspect(self) -> str:
        """The engine inspector's JSON, with the largest batch as shape: a free one has no data formats."""
        context, _ = self._free[0]
        self._set_shape(context, (self._most, *sizes(self.input)))
        inspector = self._engine.create_engine_inspector()
        inspector.execution_context = context
        text: str = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        return text

    def close(self) -> None:
        """Free contexts, buffers and the plan."""
        while self._free:
            context, lane = self._free.pop()
            del context
            lane.close()
        self._engine, self._idle = None, Pool()

    def _run(self, batch: NDArray[Any], timed: bool) -> tuple[NDArray[np.float32], StageTimes | None]:
        check_batch(batch, self.input)
        if not self._least <= len(batch) <= self._most:
            raise UsageError(
                f"a batch of {len(batch)} is outside {self._least} to {self._most}, which this engine was built for",
                "compile it with a larger --option max_batch_size=N",
            )
        with self._idle.borrow() as (context, lane):
            self._set_shape(context, batch.shape)
            logits = np.empty((len(batch), *sizes(self.output)), self._logits_dtype)
            lane.run(batch, lambda: self._launch(context, lane), logits, timed)
            return logits.astype(np.float32, copy=False), lane.read_times() if timed else None

    def _launch(self, context: Any, lane: Lane) -> None:
        if not context.execute_async_v3(lane.stream):
            raise EngineError(f"tensorrt does not run the plan ({read_error()})", "compile it again on this machine")

    def _set_shape(self, context: Any, shape: Shape) -> None:
        if not context.set_input_shape(self.input.name, shape):
            raise EngineError(
                f"tensorrt does not take the shape {shape} ({read_error()})", "compile it for that batch size"
            )

    def _make_context(self, gpu: int) -> tuple[Any, Lane]:
        context = self._engine.create_execution_context()
        if context is None:
            raise EngineError(f"tensorrt makes no execution context ({read_error()})", "take fewer streams")
        lane = Lane(gpu, self._count_bytes(self.input), self._count_bytes(self.output))
        # All contexts share the one profile; TensorRT 8 needs this for every context but the first.
        chosen = context.set_optimization_profile_async(0, lane.stream)
        named = ((self.input.name, lane.device_input), (self.output.name, lane.device_output))
        if not chosen or not all(context.set_tensor_address(*pair) for pair in named):
            lane.close()
            raise EngineError(f"tensorrt does not set up an execution context ({read_error()})", "take fewer streams")
        return context, lane

    def _count_bytes(self, spec: TensorSpec) -> int:
        return self._most * math.prod(sizes(spec)) * self._read_dtype(spec.name).itemsize

    def _read_dtype(self, name: str) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))
        return dtype

    def _read_profile(self) -> Shape:
        """The smallest, the preferred and the largest batch."""
        fixed = int(next(iter(self._engine.get_tensor_shape(self.input.name))))
        if fixed != -1:
            return (fixed, fixed, fixed)
        return tuple(int(shape[0]) for shape in self._engine.get_tensor_profile_shape(self.input.name, 0))

    def _check_ends(self, path: Path) -> None:
        names = {self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)}
        if names != {self.input.name, self.output.name}:
            raise EngineError(
                f"{path} has inputs and outputs {sorted(names)}, not those of its graph", "compile it again"
            )
        built = self._read_dtype(self.input.name).name
        if built != self.input.dtype:
            raise EngineError(f"{path} takes {built}, not {self.input.dtype} as its graph does", "compile it again")


def sizes(spec: TensorSpec) -> Shape:
    """The axes of one image; only the batch can be free."""
    return tuple(size or 1 for size in spec.shape[1:])


def load_plan(path: Path) -> Any:
    """The plan as TensorRT's engine, on the GPU that the thread uses.

    Raises:
        RefusedFile: TensorRT does not take it.
    """
    import tensorrt

    logger = get_logger()
    logger.errors.clear()
    engine = tensorrt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise RefusedFile(f"tensorrt does not load {path} ({read_error()})", "compile it again")
    return engine


def read_error(first: bool = False) -> str:
    """TensorRT's last error, or its first one, in one line."""
    errors = get_logger().errors
    return shorten(errors[0 if first else -1]) if errors else "it gives no reason"
