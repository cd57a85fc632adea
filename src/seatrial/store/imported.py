"""Another tool's figures as it reported them: its log has statistics where our own records have every sample."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from seatrial.store.measurement import Scope
from seatrial.store.record import Record
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
