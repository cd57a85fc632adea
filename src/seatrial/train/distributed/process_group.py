"""The processes of a training: what they say to one another. One process alone is a world of its own.

Two kinds of talk: tensors go over the device's own network (gloo, nccl, hccl), and numbers and objects of the host over
gloo beside it, so that agreeing on something never waits for the device.
"""

import os
from collections.abc import Iterator, Sequence
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
from seatrial.train.distributed.rank import Place, read_place

Shared = TypeVar("Shared")

BACKENDS = {"cpu": "gloo", "cuda": "nccl", "npu": "hccl"}
"""Of each kind of device."""
PATIENCE = timedelta(minutes=30)
"""How long one process waits for another: listing and hashing a large training set may take minutes."""


class World:
    """All processes of one training as one of them sees them."""

    def __init__(self, place: Place, device: torch.device, backend: str | None) -> None:
        self.place = place
        self.device = device
        self.backend = backend
        """None in a world of one, which needs no network."""

    @property
    def rank(self) -> int:
        """This process, from 0."""
        return self.place.rank

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.place.size

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.place.first

    def collect(self, values: Sequence[float]) -> NDArray[np.float64]:
        """What every process says, a row for each (size, len(values)); waits for all."""
        if self.size == 1:
            return np.array([values], dtype=np.float64)
        mine = torch.tensor(values, dtype=torch.float64)
        rows = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(rows, mine)
        return torch.stack(rows).numpy()

    def meet(self, error: SeatrialError | None, asked: bool, *values: float) -> tuple[bool, NDArray[np.float64]]:
        """Meet the others before a step: whether any was asked to stop, and everybody's values (size, len(values)).

        Raises:
            SeatrialError: what any process has to raise.
        """
        rows = self.collect([error is not None, asked, *values])
        if rows[:, 0].any():
            self.agree(error)
        return bool(rows[:, 1].any()), rows[:, 2:]

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes of a tensor on the device, in place."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def spread_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give all processes the first one's values of some tensors, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def share(self, value: Shared) -> Shared:
        """The first process's value; the others' is not looked at."""
        if self.size == 1:
            return value
        box = [value if self.first else None]
        distributed.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def gather(self, value: Shared) -> list[Shared]:
        """Every process's value, in the order of their ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    @contextmanager
    def together(self) -> Iterator[None]:
        """What the block raises in one process is raised in all; waits for all.

        Only for user's errors: whatever else is raised ends its process, and the launcher the others.
        """
        error: SeatrialError | None = None
        try:
            yield
        except SeatrialError as raised:
            error = raised
        self.agree(error)

    def agree(self, error: SeatrialError | None) -> None:
        """Raise what any process has to raise, the lowest rank's; waits for all."""
        if self.size == 1:
            if error is not None:
                raise error
            return
        raised = next((found for found in self.gather(error) if found is not None), None)
        if raised is not None:
            # One line on each machine's terminal is enough.
            raised.reported = self.place.local_rank > 0
            raise raised


@contextmanager
def join_world(settings: Train) -> Iterator[World]:
    """The world that this process was started in; leaves it when the block ends.

    Raises:
        EngineError: the device is not there, or what connects such devices is not installed; also when another
            process went away in the middle.
        UsageError: device and backend do not go together.
    """
    place = read_place()
    kind, _, index = settings.device.partition(":")
    backend = _choose_backend(kind, settings.dist_backend) if place.size > 1 else None
    if backend is not None and index:
        raise UsageError(
            f"{place.size} processes cannot share device {settings.device}", f"give --device {kind}: each takes its own"
        )
    device = _take_device(kind, index or str(place.local_rank), place)
    with kept_heap() if kind == "cpu" else nullcontext(), _connected(kind, backend):
        yield World(place, device, backend)


@contextmanager
def _connected(kind: str, backend: str | None) -> Iterator[None]:
    """The processes' network, where there are several."""
    if backend is None:
        yield
        return
    distributed.init_process_group("gloo" if backend == "gloo" else f"cpu:gloo,{kind}:{backend}", timeout=PATIENCE)
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_peer(error):
            raise
        raise LostProcess(
            "another process of this training is gone", "the same command goes on from the last snapshot"
        ) from None
    finally:
        distributed.destroy_process_group()


def _choose_backend(kind: str, asked: str) -> str:
    backend = BACKENDS.get(kind, "gloo") if asked == "auto" else asked
    if backend == "hccl":
        _import_npu()
    if backend not in ("gloo", BACKENDS.get(kind)):
        fit = next(name for name, its_own in BACKENDS.items() if its_own == backend)
        raise UsageError(f"{backend} connects devices of kind {fit}, not {kind}", "leave --dist-backend at auto")
    if not distributed.is_backend_available(backend):
        raise EngineError(f"this torch cannot connect processes over {backend}", "--dist-backend gloo always works")
    return backend


def _import_npu() -> None:
    """What teaches torch npu devices and hccl.

    Raises:
        EngineError: it is not installed.
    """
    try:
        import torch_npu  # noqa: F401
    except ImportError as error:
        raise EngineError(
            f"npu devices and hccl need torch_npu, which cannot be used here ({error})",
            "install CANN and the torch_npu that belongs to this torch",
        ) from None


def _take_device(kind: str, index: str, place: Place) -> torch.device:
    if kind == "npu":
        _import_npu()
    name = kind if kind == "cpu" else f"{kind}:{index}"
    check_device(name, get_engine("torch").probe())
    device = torch.device(name)
    if kind == "cpu":
        torch.set_num_threads(_count_threads(place))
    else:
        torch.get_device_module(device).set_device(device)
        # Images have one size, so that the fastest kernels are looked for once.
        torch.backends.cudnn.benchmark = True
    return device


def _count_threads(place: Place) -> int:
    """Of this process: another number sums in another order, so none may be left over from other work."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if place.size == 1 and asked.isdecimal() and int(asked) > 0:
        return int(asked)
    # torchrun leaves one thread to each process, whatever there is.
    return max(1, count_cores() // place.local_size)


def _is_lost_peer(error: RuntimeError) -> bool:
    lost = (distributed.DistNetworkError, distributed.DistBackendError)
    return isinstance(error, lost) or any(
        word in str(error) for word in ("gloo/transport", "Connection closed by peer")
    )


def count_decoders(settings: Train, world: World) -> int:
    """Workers that decode for this process: its share of the machine's cores unless told."""
    return settings.workers or max(1, count_cores() // world.place.local_size)
