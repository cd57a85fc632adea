"""An EMULATOR of the `aclruntime` extension, for tests: the part that `ais_bench` shows. It has not met hardware.

Times are made up from sizes, so that tests know them: nothing is measured.
"""

from dataclasses import dataclass, field


@dataclass
class TensorDesc:
    """One input or output of a model."""

    name: str
    datatype: str
    format: str
    shape: list[int]
    size: int
    realsize: int


@dataclass
class Summary:
    """Milliseconds of each execution."""

    exec_time_list: list[float] = field(default_factory=list)


class MemorySummary:
    """Milliseconds of each copy of this process, of all sessions together."""

    H2D_time_list: list[float] = []  # noqa: RUF012
    D2H_time_list: list[float] = []  # noqa: RUF012

    def reset(self) -> None:
        MemorySummary.H2D_time_list, MemorySummary.D2H_time_list = [], []
