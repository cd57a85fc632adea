"""A network of PyTorch's, opened: on the CPU, or on an accelerator with copies that overlap its work."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seatrial.engines.base import Closing, StageTimes, check_batch
from seatrial.engines.torch import Plan
from seatrial.errors import EngineError
from seatrial.store.records import TensorSpec

Finish = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
CAPTURE_WARMUP = 3
"""Runs before kernels are recorded: libraries choose theirs and allocate, which a recording must not hold."""


class TorchSession(Closing):
    """A network on the CPU; `run` may be called from several threads."""

    def __init__(
        self, module: torch.nn.Module, plan: Plan, ends: tuple[TensorSpec, TensorSpec], finish: Finish | None
    ) -> None:
        self.input, self.output = ends
        self._finish = finish
        self._module: Any = module
        self._counted = _count_weights(module)
        if plan.device == "cpu":
            torch.set_num_threads(plan.threads)
        if plan.compiled:
            self._module = _compile_module(module)
            self._compute(torch.from_numpy(self._make_blank()).to(plan.device))

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        images = batch if self._finish is None else self._finish(batch)
        logits: NDArray[np.float32] = self._compute(torch.from_numpy(images)).numpy()
        return logits

    def count_executed(self) -> dict[str, int]:
        """Computing layers by the type of their weights."""
        return dict(self._counted)

    def close(self) -> None:
        """Free the network."""
        self._module = None

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
    host_in: dict[tuple[int, ...], torch.Tensor]
    """Pinned, by shape."""
    graph: Any = None
    device_in: torch.Tensor | None = None
    device_out: torch.Tensor | None = None


class AcceleratorSession(TorchSession):
    """A network on a GPU or NPU: each run has its own stream and pinned buffers, so that copies overlap the work."""

    def __init__(
        self, module: torch.nn.Module, plan: Plan, ends: tuple[TensorSpec, TensorSpec], finish: Finish | None
    ) -> None:
        self._device = torch.device(plan.device)
        # torch.cuda, or torch.npu, whose streams and events have the same interface.
        self._api: Any = torch.get_device_module(self._device)
        self._api.set_device(self._device)
        if self._device.type == "cuda":
            # PyTorch lets convolutions round fp32 to tf32 by default; here fp32 means fp32.
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.benchmark = True
        super().__init__(module, plan, ends, finish)
        self._slots: SimpleQueue[_Slot] = SimpleQueue()
        for _ in range(plan.streams):
            slot = _Slot(self._api.Stream(), [self._api.Event(enable_timing=True) for _ in range(4)], {})
            if plan.cuda_graphs:
                self._record(slot)
            self._slots.put(slot)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        return self.run_timed(batch)[0]

    def run_timed(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], StageTimes]:
        """Logits, and the times between events on the device."""
        check_batch(batch, self.input)
        images = batch if self._finish is None else self._finish(batch)
        slot = self._slots.get()
        try:
            logits = self._run_in(slot, images)
            times = [a.elapsed_time(b) for a, b in zip(slot.events, slot.events[1:], strict=False)]
        finally:
            self._slots.put(slot)
        return logits, StageTimes(*times)

    def close(self) -> None:
        """Free the network and every buffer."""
        super().close()
        self._slots = SimpleQueue()

    def _run_in(self, slot: _Slot, images: NDArray[Any]) -> NDArray[np.float32]:
        pinned = slot.host_in.get(images.shape)
        if pinned is None:
            pinned = slot.host_in[images.shape] = torch.from_numpy(images).pin_memory()
        pinned.numpy()[...] = images
        with self._api.stream(slot.stream):
            slot.events[0].record()
            if slot.device_in is None:
                given = pinned.to(self._device, non_blocking=True)
            else:
                given = slot.device_in.copy_(pinned, non_blocking=True)
            slot.events[1].record()
            logits = self._compute(given) if slot.graph is None else self._replay(slot)
            slot.events[2].record()
            host = logits.to("cpu", non_blocking=True)
            slot.events[3].record()
        slot.events[3].synchronize()
        return np.array(host.numpy(), dtype=np.float32)

    def _replay(self, slot: _Slot) -> torch.Tensor:
        slot.graph.replay()
        assert slot.device_out is not None
        return slot.device_out

    def _record(self, slot: _Slot) -> None:
        """Record the kernels of one run, to be replayed without Python in between."""
        slot.device_in = torch.from_numpy(self._make_blank()).to(self._device)
        with torch.inference_mode(), self._api.stream(slot.stream):
            for _ in range(CAPTURE_WARMUP):
                self._module(slot.device_in)
        self._api.synchronize()
        slot.graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(slot.graph, stream=slot.stream):
            slot.device_out = self._module(slot.device_in)


def _count_weights(module: torch.nn.Module) -> Counter[str]:
    layers = (torch.nn.Conv2d, torch.nn.Linear)
    return Counter(NAMES[m.weight.dtype] for m in module.modules() if isinstance(m, layers))


def _compile_module(module: torch.nn.Module) -> Any:
    """The module compiled for one batch size, its weights frozen into it.

    Raises:
        EngineError: torch.compile is not available here.
    """
    from torch._inductor import config

    # Folds BatchNorm into convolutions and lays weights out as the kernels want them.
    config.freezing = True
    try:
        return torch.compile(module, dynamic=False, fullgraph=True)
    except (RuntimeError, ImportError) as error:
        raise EngineError(f"torch.compile is not available here ({error})", "take --option mode=eager") from None
