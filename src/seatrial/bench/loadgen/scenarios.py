"""The four scenarios of LoadGen, and the job for its process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.bench.worker import EngineJob
from seatrial.strict import Strict

MLPERF_LIBRARY = 1024
"""Images that MLPerf's rules keep in memory for ResNet-50; LoadGen chooses from them at random."""
MLPERF_S = 600
"""What MLPerf's rules let a run last at least."""
TARGET_LATENCY_MS = 15.0
"""What MLPerf allows 99 % of a server's ResNet-50 queries."""
WAIT_SHARE = 0.1
"""Of the target latency, an image waits at most for others to fill its batch."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way of sending queries."""

    name: str
    """LoadGen's name."""
    images: int | None
    """In a query; None lets LoadGen choose: offline sends all in one."""
    least_queries: int
    """Fewer are never valid: LoadGen's early stopping states a 90th percentile from 64 queries on, and a 99th from 459,
    662 where one of them may be late. Offline counts images and has no such rule."""


SCENARIOS: Mapping[str, Scenario] = {
    "offline": Scenario("Offline", None, 1),
    "single-stream": Scenario("SingleStream", 1, 64),
    "multi-stream": Scenario("MultiStream", 8, 662),
    "server": Scenario("Server", 1, 662),
}
PRESETS: Mapping[str, int] = {"quick": 256, "mlperf": MLPERF_LIBRARY}
"""Each preset with the images that it keeps in memory."""


class LoadTestJob(EngineJob):
    """The job of the process that LoadGen runs in."""

    scenario: Literal["offline", "single-stream", "multi-stream", "server"]
    preset: Literal["quick", "mlperf"]
    """`mlperf` takes MLPerf's durations, counts and seeds, where they are more than the fields below."""
    duration_s: PositiveFloat
    min_queries: PositiveInt
    """Images in scenario offline."""
    target_qps: PositiveFloat | None = None
    """Images per second sent to a server; offline, those expected, which the warm-up measures for None."""
    target_latency_ms: PositiveFloat = TARGET_LATENCY_MS
    wait_ms: NonNegativeFloat = 0.0
    """How long an image waits at most for others to fill its batch."""
    logs: Path
    """The folder for LoadGen's files."""


class LoadTestResult(Strict):
    """What that process returns beside LoadGen's own files."""

    queries: PositiveInt
    library: PositiveInt
    """Different images."""
    target_qps: PositiveFloat | None
    """As given to LoadGen; None in scenarios without."""
    sampled: NonNegativeInt
    """Predictions that LoadGen recorded during the run."""
    differing: NonNegativeInt
    """Those of them that differ when the engine runs again without LoadGen."""
