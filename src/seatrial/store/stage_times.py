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
    """Least time of timing that was requested of each point."""


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
    def time(self, stage: StageTime, begun: Path | None = None, anew: bool = False) -> Iterator[None]:
        """Note how long the block takes, if a stage in it is done.

        Args:
            stage: the facts of it, its seconds not yet known.
            begun: what an attempt leaves that was stopped; where it is there, this one goes on and its time says
                little.
            anew: it is done without looking for its result.
        """
        work: list[str] = [stage.stage] if anew else []
        resumed = begun is not None and begun.exists()
        start = time.perf_counter()
        with watching(lambda name, found: None if found else work.append(name)):
            yield
        if work and not resumed:
            self._note(stage.model_copy(update={"seconds": time.perf_counter() - start}))

    def _note(self, stage: StageTime) -> None:
        others = (each for each in self._times.stages if (each.stage, each.engine) != (stage.stage, stage.engine))
        self._times = self._times.model_copy(update={"stages": (*others, stage)})
        self._times.save(self._path)
