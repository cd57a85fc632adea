"""The processes of a training and what they exchange.

Tensors go over the device's own network (gloo, nccl, hccl), numbers and objects of the host over a second one, gloo,
so that these never wait for the device.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

from seatrial.engines import get_engine
from seatrial.engines.base import check_device
from seatrial.errors import EngineError, LostProcess, SeatrialError, UsageError
from seatrial.machine.allocator import kept_heap
from seatrial.machine.cpu import count_cores
from seatrial.recipes.training import Train
from seatrial.train.distributed.rank import RankInfo, read_rank

Shared = TypeVar("Shared")

BACKENDS = {"cpu": "gloo", "cuda": "nccl", "npu": "hccl"}
"""The backend of each kind of device."""
TIMEOUT = timedelta(minutes=30)
"""How long one process waits for another: listing and hashing a large training set may take minutes."""


class ProcessGroup:
    """All processes of a training, as one of them sees them; a training in one process has a group of one."""

    def __init__(self, info: RankInfo, device: torch.device, backend: str | None) -> None:
        self.info, self.device = info, device
        self.rank, self.size, self.is_main = info.rank, info.size, info.is_main
        self.backend = backend
        """None in a group of one, which needs no network."""

    def all_gather(self, values: Sequence[float]) -> NDArray[np.float64]:
        """Every rank's values, a row for each (size, len(values)); waits for all."""
        if self.size == 1:
            return np.array([values], dtype=np.float64)
        own = torch.tensor(values, dtype=torch.float64)
        rows = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(rows, own)
        return torch.stack(rows).numpy()

    def all_gather_object(self, value: Shared) -> list[Shared]:
        """Every rank's value, in the order of the ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks of a tensor on the device, in place."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def broadcast(self, value: Shared) -> Shared:
        """The first rank's value; that of the others is ignored."""
        if self.size == 1:
            return value
        values = [value if self.is_main else None]
        distributed.broadcast_object_list(values, src=0)
        return values[0]  # type: ignore[return-value]

    def broadcast_tensors(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite some tensors with the first rank's."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def sync(self, error: SeatrialError | None, stop: bool, *values: float) -> tuple[bool, NDArray[np.float64]]:
        """Meet the other ranks before a step: whether any got a stop signal, and all values (size, len(values)).

        Raises:
            SeatrialError: the error of any rank.
        """
        rows = self.all_gather([error is not None, stop, *values])
        if rows[:, 0].any():
            self._raise_first(error)
        return bool(rows[:, 1].any()), rows[:, 2:]

    @contextmanager
    def raise_on_all(self) -> Iterator[None]:
        """Raise on all ranks what the block raises on one; waits for all.

        Only for user's errors: whatever else is raised ends its process, and the launcher the others.
        """
        error: SeatrialError | None = None
        try:
            yield
        except SeatrialError as raised:
            error = raised
        self._raise_first(error)

    def run_on_main(self, function: Callable[[], Shared]) -> Shared:
        """Run a function on the first rank only; all get its result, or its error."""
        result: Any = None
        with self.raise_on_all():
            if self.is_main:
                result = function()
        return self.broadcast(result)  # type: ignore[no-any-return]

    def _raise_first(self, error: SeatrialError | None) -> None:
        """Raise the error of the lowest rank that has one; waits for all."""
        first = next((each for each in self.all_gather_object(error) if each is not None), None)
        if first is not None:
            # One line on each machine's terminal is enough.
            first.reported = self.info.local_rank > 0
            raise first


@contextmanager
def join_process_group(settings: Train) -> Iterator[ProcessGroup]:
    """Connect to the other processes of the training; disconnects when the block ends.

    Raises:
        EngineError: the device or its backend is not available, or another process was lost.
        UsageError: the backend does not connect such devices.
    """
    info = read_rank()
    kind, _, index = settings.device.partition(":")
    backend = _choose_backend(kind, settings.dist_backend) if info.size > 1 else None
    if backend is not None and index:
        raise UsageError(
            f"{info.size} processes cannot share --device {settings.device}",
            f"give --device {kind}: each takes its own",
        )
    device = _set_up_device(kind, index or str(info.local_rank), info)
    with kept_heap() if kind == "cpu" else nullcontext(), _connected(kind, backend):
        yield ProcessGroup(info, device, backend)


@contextmanager
def _connected(kind: str, backend: str | None) -> Iterator[None]:
    """Initialise torch.distributed where there are several processes."""
    if backend is None:
        yield
        return
    distributed.init_process_group("gloo" if backend == "gloo" else f"cpu:gloo,{kind}:{backend}", timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_peer(error):
            raise
        raise LostProcess(
            "another process of this training was lost", "run the same command to resume from the last snapshot"
        ) from None
    finally:
        distributed.destroy_process_group()


def _choose_backend(kind: str, backend: str) -> str:
    if backend == "auto":
        backend = BACKENDS.get(kind, "gloo")
    if backend == "hccl":
        _import_npu()
    if backend not in ("gloo", BACKENDS.get(kind)):
        fit = next(name for name, its_own in BACKENDS.items() if its_own == backend)
        raise UsageError(f"--dist-backend {backend} is for {fit} devices, not {kind}", "leave --dist-backend out")
    if not distributed.is_backend_available(backend):
        raise EngineError(f"this torch is built without {backend}", "give --dist-backend gloo, which always works")
    return backend


def _import_npu() -> None:
    """Add npu devices and hccl to torch.

    Raises:
        EngineError: torch_npu cannot be imported.
    """
    try:
        import torch_npu  # noqa: F401
    except ImportError as error:
        raise EngineError(
            f"npu devices and hccl need torch_npu, which cannot be imported ({error})",
            "install CANN and the torch_npu for this version of torch",
        ) from None


def _set_up_device(kind: str, index: str, info: RankInfo) -> torch.device:
    if kind == "npu":
        _import_npu()
    name = kind if kind == "cpu" else f"{kind}:{index}"
    check_device(name, get_engine("torch").probe())
    device = torch.device(name)
    if kind == "cpu":
        torch.set_num_threads(_count_threads(info))
    else:
        torch.get_device_module(device).set_device(device)
        # All images have one size, so cuDNN searches for the fastest kernels once.
        torch.backends.cudnn.benchmark = True
    return device


def _count_threads(info: RankInfo) -> int:
    """Torch's threads in this process. It is always set: with another number of threads sums round differently."""
    variable = os.environ.get("OMP_NUM_THREADS", "")
    if info.size == 1 and variable.isdecimal() and int(variable) > 0:
        return int(variable)
    # torchrun leaves one thread to each process, whatever there is.
    return max(1, count_cores() // info.local_size)


def _is_lost_peer(error: RuntimeError) -> bool:
    lost = (distributed.DistNetworkError, distributed.DistBackendError)
    return isinstance(error, lost) or any(
        word in str(error) for word in ("gloo/transport", "Connection closed by peer")
    )


def count_decoders(settings: Train, group: ProcessGroup) -> int:
    """Decode workers of this process: its share of the machine's cores unless `workers` is set."""
    return settings.workers or max(1, count_cores() // group.info.local_size)
