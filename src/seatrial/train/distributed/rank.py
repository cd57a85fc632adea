"""Which process of a training this is, as torchrun's environment says; needs no torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.errors import UsageError


@dataclass(frozen=True, slots=True)
class RankInfo:
    """One process of a training; the only one unless a launcher started it."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""
    local_size: int = 1
    launched: bool = False
    """By torchrun, or by `launch.launch`."""
    restarts: int = 0
    """How often torchrun has started all processes again because one was lost."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.rank == 0

    @property
    def stride(self) -> slice:
        """Picks this rank's part of a step's images: together the ranks take each image once."""
        return slice(self.rank, None, self.size)

    @property
    def machines(self) -> int:
        """Machines of the training, if all run as many processes as this one."""
        return -(-self.size // self.local_size)


def read_rank(environment: Mapping[str, str] = os.environ) -> RankInfo:
    """This process's rank, from torchrun's environment variables.

    Raises:
        UsageError: some of its variables are missing or are no numbers.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return RankInfo()
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        local_rank = int(environment.get("LOCAL_RANK", rank))
        local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
        restarts = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0))
        return RankInfo(rank, size, local_rank, local_size, launched=True, restarts=restarts)
    except ValueError:
        values = ", ".join(f"{name}={environment.get(name)}" for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        fix = "start it with torchrun, or unset RANK and WORLD_SIZE"
        raise UsageError(f"the environment has {values}, which must be whole numbers", fix) from None
