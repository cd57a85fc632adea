"""How long the stages of a run took: `times.json`, by which later runs on the same machine are estimated."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import Field

from seatrial.errors import SeatrialError
from seatrial.store.record import Record
from seatrial.store.stage_cache import watching
from seatrial.strict import Strict

TIMES = "times.json"
"""Its path in a run folder."""


class StageTime(Strict):
    """One stage, from its call to its end in one go."""

    stage: str
    engine: str = ""
    """Its name in the run; empty of a stage that is of no engine."""
    seconds: float
    images: int = 0
    """That were evaluated; 0 of another stage."""
    points: int = 0
    """That were measured; 0 of another stage."""
    duration_s: float = 0.0
    """Time of timing that was requested of each point."""
    timed_s: float = 0.0
    """That it took, in the mean, where it may have ended sooner; 0 of older records, where it could not."""

    @property
    def overhead_s(self) -> float:
        """Seconds that a point took beside its timing: its process, its warm-up, its checks."""
        return max(0.0, self.seconds / self.points - (self.timed_s or self.duration_s))

    def estimate_point(self, duration_s: float) -> float:
        """Seconds of a point that is timed for so long at most: what ended before its time will again."""
        ended_early = 0 < self.timed_s < self.duration_s
        return self.overhead_s + (min(duration_s, self.timed_s) if ended_early else duration_s)


class LatestStageTimes(Record):
    """The latest time of every stage."""

    schema_: Literal["seatrial/stage-times/1"] = Field(default="seatrial/stage-times/1", alias="schema")
    network: str
    machine: str
    """`machine.environment.machine_hash` of it."""
    stages: tuple[StageTime, ...] = ()

    def find(self, stage: str, engine: str) -> StageTime | None:
        """The time of a stage; None where it is not known."""
        return next((each for each in self.stages if (each.stage, each.engine) == (stage, engine)), None)


class StageClock:
    """Notes how long stages take that are done, not found done."""

    def __init__(self, path: Path, network: str, machine: str) -> None:
        self._path = path
        self._times = LatestStageTimes(network=network, machine=machine)
        with suppress(SeatrialError):
            stored = LatestStageTimes.load(path)
            if (stored.network, stored.machine) == (network, machine):
                self._times = stored

    @contextmanager
    def time(self, stage: StageTime, begun: Path | None = None, anew: bool = False) -> Iterator[dict[str, float]]:
        """Note how long the block takes, if a stage in it is done.

        Args:
            stage: the facts of it, its seconds not yet known.
            begun: what an attempt leaves that was stopped; where it is there, this one goes on and its time says
                little.
            anew: it is done without looking for its result.

        Yields:
            Facts of the stage that are known only when it is done; the block fills them in.
        """
        facts: dict[str, float] = {}
        work: list[str] = [stage.stage] if anew else []
        resumed = begun is not None and begun.exists()
        start = time.perf_counter()
        with watching(lambda name, found: None if found else work.append(name)):
            yield facts
        if work and not resumed:
            self._note(stage.model_copy(update={"seconds": time.perf_counter() - start, **facts}))

    def _note(self, stage: StageTime) -> None:
        others = (each for each in self._times.stages if (each.stage, each.engine) != (stage.stage, stage.engine))
        self._times = self._times.model_copy(update={"stages": (*others, stage)})
        self._times.save(self._path)
