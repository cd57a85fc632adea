"""A load test of ours: MLPerf's LoadGen is the clock, one of our engines is timed."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.store.imported import ImportedRecord, ReportedRecord
from seatrial.store.measurement import Environment, Measurement
from seatrial.store.record import read_json
from seatrial.strict import Strict


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


def load_speed(path: Path) -> SpeedRecord:
    """Read a record of speed, whichever tool was its clock.

    Raises:
        UsageError: there is no such file, or it is another record.
        RefusedFile: it is damaged.
    """
    data = read_json(path)
    kind = str(data.get("schema", "")).rpartition("/")[0]
    if kind == "seatrial/load-test" or _is_old(data):
        return LoadTestRecord.load(path)
    return ImportedRecord.load(path) if kind == "seatrial/imported" else Measurement.load(path)


def _is_old(data: dict[str, Any]) -> bool:
    return data.get("schema") == "seatrial/imported/1" and data.get("own") is not None
