"""What `seatrial choose` found: `choice.json` in a run folder."""

from typing import Literal

from pydantic import Field

from seatrial.errors import ExitCode
from seatrial.store.measurement import Environment
from seatrial.store.record import Record
from seatrial.store.records import Outcome
from seatrial.store.tuning import Setting
from seatrial.strict import Strict

SettingState = Literal[
    "chosen",
    "as fast",
    "slower",
    "accuracy",
    "accuracy open",
    "latency",
    "latency open",
    "failed",
    "not evaluated",
    "not measured",
]
"""What came of a setting: *as fast* cannot be told from the one chosen; *slower* certainly is; *accuracy* and *latency*
are certainly lost, or open; *not evaluated* and *not measured* where the time was up."""


def write_setting(candidate: str, batch_size: int, streams: int, threads: int | None) -> str:
    """One setting of a candidate in words; threads are left out where they are the engine's default."""
    threads_used = "" if threads is None else f", {threads} thread{'s' if threads > 1 else ''}"
    return f"{candidate} at batch {batch_size}, {streams} stream{'s' if streams > 1 else ''}{threads_used}"


class CandidateResult(Strict):
    """An engine in a precision."""

    name: str
    engine: str
    precision: str
    device: str
    graph: str
    """That it is compiled from, in the run folder."""
    options: dict[str, str] = Field(default_factory=dict)
    size_bytes: int | None = None
    """Of its files; None where it could not be compiled."""
    outcome: Outcome | None = None
    """Whether it keeps the accuracy; None where that did not have to be known."""
    images: int | None = None
    """That it was evaluated on."""
    reason: str = ""


class SettingResult(Setting):
    """A candidate at one batch size with so many streams and threads."""

    candidate: str
    state: SettingState
    reason: str = ""
    rounds: int = 0
    """Fresh processes that measured it, one a round."""
    screened: int = 0
    """Rounds of the screening that measured it, in a process that stays open."""
    images_per_s: float | None = None
    """Of the fresh processes; where there were none, of the screening."""
    low: float | None = None
    high: float | None = None
    """Of the 95 % interval of its rate; None where fewer than two processes measured it."""
    times_low: float | None = None
    times_high: float | None = None
    """Bounds of how many times as long an image takes as in the one chosen; they hold for the whole race at once."""
    samples: int = 0
    p99_ms: float | None = None
    """Of these samples, of a batch."""


class ChoiceTimes(Strict):
    """Seconds that the last attempt spent; what was found done took none."""

    compile_s: float = 0.0
    evaluate_s: float = 0.0
    measure_s: float = 0.0


class Choice(Record):
    """The engine and setting to deploy, and what became of all others."""

    schema_: Literal["seatrial/choice/1"] = Field(default="seatrial/choice/1", alias="schema")
    key: str
    run: str
    """`RunManifest.identity` of the run that it is of."""
    goal: str
    max_drop_pp: float
    exit_code: ExitCode
    complete: bool = True
    """False where the time was up before all others were certain."""
    chosen: SettingResult | None = None
    """Of goal *size* any setting: its rate is not measured."""
    candidates: tuple[CandidateResult, ...]
    settings: tuple[SettingResult, ...]
    """All that were to be measured; none of goal *size*."""
    command: tuple[str, ...] = ()
    """Command lines that build what was chosen."""
    rounds: int = 0
    """In fresh processes."""
    screenings: int = 0
    """Rounds of the screening before them."""
    processes: int = 0
    """That the last attempt started to measure."""
    error_rate: float
    """The chance that the fastest was dropped, that what was chosen does not keep the accuracy, and that it does not
    keep the latency: each no more than this."""
    times: ChoiceTimes
    doubts: tuple[str, ...] = ()
    environment: Environment

    @property
    def as_fast(self) -> tuple[SettingResult, ...]:
        """The settings that cannot be told from the one chosen."""
        return tuple(setting for setting in self.settings if setting.state == "as fast")
