"""Which process of a training this is, as torchrun tells through the environment; needs no torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.errors import UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """One process among those of a training; alone unless a launcher said otherwise."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""
    local_size: int = 1
    launched: bool = False
    """By torchrun, or by `launch.launch`."""
    restarts: int = 0
    """How often torchrun has begun again since it was started, because processes were lost."""

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        """Of the training, if all have as many processes as this one."""
        return -(-self.size // self.local_size)


def read_place(environment: Mapping[str, str] = os.environ) -> Place:
    """What torchrun says of this process.

    Raises:
        UsageError: some of its variables are missing or are no numbers.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Place()
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        local_rank = int(environment.get("LOCAL_RANK", rank))
        local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
        restarts = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0))
        return Place(rank, size, local_rank, local_size, launched=True, restarts=restarts)
    except ValueError:
        found = ", ".join(f"{name}={environment.get(name)}" for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        raise UsageError(f"the environment has {found}, which are no numbers", "start it with torchrun") from None
