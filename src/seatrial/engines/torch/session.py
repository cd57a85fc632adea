"""A network of PyTorch's, opened: on the CPU, or on an accelerator with copies that overlap its work."""

import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seatrial.closing import Closing, Pool
from seatrial.engines.base import UNKNOWN, StageTimes, check_batch
from seatrial.engines.torch.plan import TorchPlan
from seatrial.errors import EngineError, UsageError
from seatrial.machine.allocator import kept_heap
from seatrial.store.records import TensorSpec

Finish = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
CAPTURE_WARMUP = 3
"""Runs before kernels are recorded: libraries choose theirs and allocate, which a recording must not contain."""


class TorchSession(Closing):
    """A network on the CPU; `run` may be called from several threads."""

    def __init__(
        self, module: torch.nn.Module, plan: TorchPlan, ends: tuple[TensorSpec, TensorSpec], finish: Finish | None
    ) -> None:
        self.input, self.output = ends
        self._finish = finish
        self._module: Any = module
        self._counted = _count_weights(module)
        self._compiled: CodeType | None = None
        with ExitStack() as until_closed:
            if plan.device == "cpu":
                torch.set_num_threads(plan.threads)
                until_closed.enter_context(kept_heap())
            if plan.compiled:
                self._compile(module, plan.device)
            self._until_closed = until_closed.pop_all()

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        images = np.require(self._take(batch), requirements=("C", "W"))
        logits: NDArray[np.float32] = self._compute(torch.from_numpy(images)).numpy()
        return logits

    def count_executed(self) -> dict[str, int]:
        """Computing layers by the type of their weights."""
        return dict(self._counted)

    def close(self) -> None:
        """Free the network."""
        if self._compiled is not None:
            _forget(self._compiled)
        self._module = self._compiled = None
        self._until_closed.close()

    def _take(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The batch as the module takes it."""
        check_batch(batch, self.input)
        if self._module is None:
            raise UsageError("the session is closed", "open the engine again")
        return batch if self._finish is None else self._finish(batch)

    def _compile(self, module: torch.nn.Module, device: str) -> None:
        """Compile the module for the session's batch size, its weights frozen into it.

        Raises:
            EngineError: torch.compile cannot: a compiler is missing, or the network is not one graph.
        """
        # torch.compile's own `options` reach the compiler too late for this one: nothing would be folded.
        from torch._inductor import config

        function = _isolate(module)
        self._compiled = function.__code__
        try:
            # Freezing folds BatchNorm into convolutions and lays weights out as the kernels want them. Compiling
            # happens in the first run, which must be like the later ones: a tensor made under inference_mode is not.
            with config.patch(freezing=True), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "TensorFloat32")  # It advises tf32, and fp32 was requested.
                self._module = torch.compile(function, dynamic=False, fullgraph=True)
                self._compute(torch.from_numpy(self._make_blank()).to(device))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = " ".join(str(error).split("\n\n")[0].split())
            raise EngineError(f"torch.compile failed here ({reason})", "take --option mode=eager") from None

    def _compute(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._module(images)
        return logits

    def _make_blank(self) -> NDArray[Any]:
        """A batch of the session's size, all 0, as the module takes it."""
        blank = np.zeros([size or 1 for size in self.input.shape], dtype=self.input.dtype)
        return blank if self._finish is None else self._finish(blank)


@dataclass(slots=True)
class _Slot:
    """Everything that one run in flight needs; as many as there are streams."""

    stream: Any
    events: list[Any]
    """Before the copy in, after it, after the network, after the copy out."""
    host_in: torch.Tensor | None = None
    """Pinned, as `host_out`; with room for the largest batch so far."""
    host_out: torch.Tensor | None = None
    graph: Any = None
    device_in: torch.Tensor | None = None
    device_out: torch.Tensor | None = None


class AcceleratorSession(TorchSession):
    """A network on a GPU or NPU: each run has its own stream and pinned buffers, so that copies overlap the work."""

    def __init__(
        self, module: torch.nn.Module, plan: TorchPlan, ends: tuple[TensorSpec, TensorSpec], finish: Finish | None
    ) -> None:
        self._device = torch.device(plan.device)
        # torch.cuda, or torch.npu, whose streams and events have the same interface.
        self._api: Any = torch.get_device_module(self._device)
        self._api.set_device(self._device)
        if self._device.type == "cuda":
            if plan.precision == "fp32":
                _forbid_tf32()
            # Each thread tries cuDNN's kernels once for each shape and keeps the fastest.
            torch.backends.cudnn.benchmark = True
        super().__init__(module, plan, ends, finish)
        self._slots: Pool[_Slot] = Pool()
        # The weights were sent on the default stream, for which the others do not wait.
        self._api.synchronize()
        for _ in range(plan.streams):
            slot = _Slot(self._api.Stream(), [self._api.Event(enable_timing=True) for _ in range(4)])
            if plan.cuda_graphs:
                self._record(slot)
            self._slots.put(slot)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        return self.run_timed(batch)[0]

    def run_timed(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], StageTimes]:
        """Logits, and the times between events on the device."""
        images = self._take(batch)
        with self._slots.borrow() as slot:
            logits = self._run_in(slot, images)
            times = [a.elapsed_time(b) for a, b in zip(slot.events, slot.events[1:], strict=False)]
        return logits, StageTimes(*times)

    def close(self) -> None:
        """Free the network and every buffer."""
        super().close()
        self._slots = Pool()

    def _run_in(self, slot: _Slot, images: NDArray[Any]) -> NDArray[np.float32]:
        count = len(images)
        slot.host_in = _make_room(slot.host_in, images.shape, getattr(torch, str(images.dtype)))
        pinned = slot.host_in[:count]
        pinned.numpy()[...] = images
        try:
            with self._api.stream(slot.stream):
                slot.events[0].record()
                if slot.device_in is None:
                    given = pinned.to(self._device, non_blocking=True)
                else:
                    given = slot.device_in.copy_(pinned, non_blocking=True)
                slot.events[1].record()
                logits = self._compute(given) if slot.graph is None else self._replay(slot)
                slot.events[2].record()
                slot.host_out = _make_room(slot.host_out, logits.shape, torch.float32)
                slot.host_out[:count].copy_(logits, non_blocking=True)
                slot.events[3].record()
        finally:
            # After an error too: a copy that is still under way would read what the next run writes.
            slot.stream.synchronize()
        return np.array(slot.host_out[:count].numpy())

    def _replay(self, slot: _Slot) -> torch.Tensor:
        slot.graph.replay()
        assert slot.device_out is not None
        return slot.device_out

    def _record(self, slot: _Slot) -> None:
        """Record the kernels of one run, to be replayed without Python in between."""
        with self._api.stream(slot.stream):
            slot.device_in = torch.from_numpy(self._make_blank()).to(self._device)
            for _ in range(CAPTURE_WARMUP):
                self._compute(slot.device_in)
        self._api.synchronize()
        slot.graph = self._api.CUDAGraph()
        # thread_local: another session's thread may allocate meanwhile.
        with self._api.graph(slot.graph, stream=slot.stream, capture_error_mode="thread_local"):
            slot.device_out = self._compute(slot.device_in)


def _count_weights(module: torch.nn.Module) -> Counter[str]:
    """Layers by the type of their weights: what has a matrix called weight multiplies by it, whatever its class."""
    weights = (dict(layer.named_parameters(recurse=False)) for layer in module.modules())
    matrices = (
        next((tensor for name, tensor in own.items() if name.endswith("weight") and tensor.ndim > 1), None)
        for own in weights
    )
    return Counter(NAMES.get(matrix.dtype, UNKNOWN) for matrix in matrices if matrix is not None)


def _isolate(module: torch.nn.Module) -> FunctionType:
    """The module as a function with code of its own.

    What torch.compile makes is kept with the code that it was made from, eight times at most: sessions that share
    the code of `forward` would run out of it, and what they leave would stay.
    """

    def forward(images: torch.Tensor) -> Any:
        return module(images)

    code = forward.__code__.replace()
    return FunctionType(code, forward.__globals__, "forward", None, forward.__closure__)


def _forget(code: CodeType) -> None:
    """Free what torch.compile made of a function.

    torch exports no such thing for one function; where its own is gone, the network stays until the process ends.
    """
    with suppress(ImportError):
        from torch._C._dynamo.eval_frame import reset_code

        reset_code(code)


def _make_room(room: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A pinned host tensor of at least as many rows: the one at hand if it is large enough."""
    return room if room is not None and len(room) >= shape[0] else _allocate_pinned(shape, dtype)


def _allocate_pinned(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, pin_memory=True)


def _forbid_tf32() -> None:
    """Let fp32 mean fp32: PyTorch lets convolutions round to tf32 by default."""
    with warnings.catch_warnings():
        # Some versions call these switches old. Those that set the new ones instead refuse to read the old ones, which
        # torch.compile does.
        warnings.simplefilter("ignore")
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
