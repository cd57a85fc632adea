"""Another tool's figures as it reported them, which has statistics where our own records have every sample.

Logs that were only read, and load tests of our engines, of which MLPerf's LoadGen is the clock.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.errors import SeatrialError, StorageError, UsageError
from seatrial.store.files import describe_os_error, make_folder
from seatrial.store.measurement import Environment, Measurement, Scope
from seatrial.store.record import Record, read_json, read_kind
from seatrial.store.unfinished import make_unfinished
from seatrial.strict import Strict


class LogFile(Strict):
    """A file that figures were read from."""

    name: str
    """As given."""
    sha256: str
    size_bytes: PositiveInt


class ReportedLatency(Strict):
    """Times of one run over a whole batch, as the tool reported them; None is not stated."""

    count: PositiveInt | None = None
    """Timed runs behind these figures."""
    min_ms: NonNegativeFloat | None = None
    mean_ms: PositiveFloat
    median_ms: NonNegativeFloat | None = None
    max_ms: NonNegativeFloat | None = None
    percentiles_ms: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """By percentage, such as "99" or "99.9", ranked by the tool's own rule."""


class ImportedPoint(Strict):
    """One batch size in one scope, out of one log."""

    file: str
    """The name of its `LogFile`."""
    batch_size: PositiveInt | None
    streams: PositiveInt | None
    """Batches in flight at once."""
    scope: Scope
    scope_because: str
    images_per_s: PositiveFloat
    """Of one chip; the mean of them where several ran at once."""
    images_per_s_because: str
    """The figure in the log and what it was multiplied by."""
    images_per_s_card: PositiveFloat | None = None
    """Of a whole card; None where its number of chips is unknown."""
    chips: PositiveInt = 1
    """Number that ran at once."""
    input: str | None = None
    """Shape or size of the network's input."""
    latency: ReportedLatency | None = None
    copy_in_ms: NonNegativeFloat | None = None
    """Mean time to copy a batch to the device."""
    copy_out_ms: NonNegativeFloat | None = None
    """Mean time to copy its logits back."""
    warmup_runs: int | None = None
    warmup_s: float | None = None
    duration_s: float | None = None
    """From the first timed run to the end of the last."""
    lines: dict[str, tuple[int, ...]]
    """Line numbers of each figure in the file, from 1."""


class ReportedRecord(Record):
    """Another tool's figures, with the line of each and reasons to doubt it. None is not stated."""

    name: str
    tool: str
    tool_version: str | None
    model: str | None
    device: str | None
    precision: str | None
    chips_per_card: PositiveInt | None
    files: tuple[LogFile, ...]
    points: tuple[ImportedPoint, ...]
    doubts: tuple[str, ...]


class ImportedRecord(ReportedRecord):
    """Logs that were only read: the record of `seatrial import-log`."""

    schema_: Literal["seatrial/imported/1"] = Field(default="seatrial/imported/1", alias="schema")

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Load tests, now records of their own kind, were stored here, with the facts beside their log as `own`."""
        return {key: value for key, value in data.items() if key != "own" or value is not None}


class LoadTestRun(Strict):
    """What LoadGen's log does not have: engine, inputs, settings, machine."""

    engine: str
    executed: dict[str, int]
    """Layers by precision."""
    graph_sha256: str
    preprocess_hash: str
    inputs: str
    """A folder of images, or random bytes, and how many different ones."""
    scenario: str
    preset: str
    batch_size: PositiveInt
    """Most images of one run of the engine."""
    wait_ms: NonNegativeFloat
    """How long an image waited at most for others to fill its batch."""
    target_qps: PositiveFloat | None
    """Images per second sent, or offline expected; None where the tool waits for each response."""
    target_latency_ms: PositiveFloat | None
    """The latency to keep; None in a scenario without."""
    unmet: tuple[str, ...]
    """The conditions not met, in the tool's words; empty for a valid run."""
    sampled: NonNegativeInt
    """Predictions that were checked afterwards."""
    differing: NonNegativeInt
    """Those of them that differed when the engine ran again."""
    environment: Environment


class LoadTestRecord(ReportedRecord):
    """LoadGen's figures of one of our engines: the record of `seatrial load-test`."""

    schema_: Literal["seatrial/load-test/1"] = Field(default="seatrial/load-test/1", alias="schema")
    own: LoadTestRun

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """It was stored as an imported record before."""
        return {**data, "schema": "seatrial/load-test/1"} if _is_old(data) else data


SpeedRecord = Measurement | ImportedRecord | LoadTestRecord
SPEED_RECORDS: Mapping[str, type[SpeedRecord]] = {
    "seatrial/measurement": Measurement,
    "seatrial/imported": ImportedRecord,
    "seatrial/load-test": LoadTestRecord,
}
"""The records of speed, by their schema without its version."""


def load_speed(path: Path) -> SpeedRecord:
    """Read a record of speed, whichever tool was its clock.

    Raises:
        UsageError: there is no such file, or it is another record.
        RefusedFile: it is damaged.
    """
    data = read_json(path)
    kind: type[SpeedRecord] = LoadTestRecord if _is_old(data) else SPEED_RECORDS.get(read_kind(data), Measurement)
    return kind.load(path)


def _is_old(data: dict[str, Any]) -> bool:
    return data.get("schema") == "seatrial/imported/1" and data.get("own") is not None


def check_output(path: Path) -> None:
    """Check before the work, not after it, that a record of speed can be stored at `path`.

    It may replace another one, or an empty file.

    Raises:
        UsageError: there is another file.
        StorageError: it is a folder, or the folder around it may not be written.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder, the record needs a file", "choose another --output")
    make_folder(path.parent)
    try:
        with make_unfinished(path):
            occupied = path.exists() and path.stat().st_size > 0
    except OSError as error:
        error.filename = None  # The temporary name means nothing to a user.
        raise describe_os_error(error, path) from None
    kind = ""
    with contextlib.suppress(SeatrialError):
        kind = read_kind(read_json(path)) if occupied else ""
    if occupied and kind not in SPEED_RECORDS:
        raise UsageError(f"{path} is no record of speed, and would be lost", "choose another --output")
