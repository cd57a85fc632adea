"""A load test of ours: MLPerf's LoadGen is the clock, one of our engines what it times."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from seatrial.store.imported import ImportedRecord, ToldRecord
from seatrial.store.measurement import Environment, Measurement
from seatrial.store.record import read_json
from seatrial.strict import Strict


class OwnRun(Strict):
    """What we know beside LoadGen's log."""

    engine: str
    executed: dict[str, int]
    """Layers by precision."""
    graph_sha256: str
    preprocess_hash: str
    inputs: str
    """What was fed: a folder of images, or random bytes, and how many different ones."""
    scenario: str
    preset: str
    batch_size: PositiveInt
    """Most images of one run of the engine."""
    wait_ms: NonNegativeFloat
    """How long an image waited at most for others to fill its batch."""
    target_qps: PositiveFloat | None
    """What the engine was sent a second, or offline what was expected of it; None where the tool waits for answers."""
    target_latency_ms: PositiveFloat | None
    """What the answers had to keep; None in a scenario without."""
    unmet: tuple[str, ...]
    """The conditions that the tool says were not met; empty for a valid run."""
    sampled: NonNegativeInt
    """Answers that were looked at again afterwards."""
    differing: NonNegativeInt
    """Those of them that the engine gave otherwise when it was asked again."""
    environment: Environment


class LoadTestRecord(ToldRecord):
    """LoadGen's figures of one of our engines: the record of `seatrial bench --scenario`."""

    schema_: Literal["seatrial/load-test/1"] = Field(default="seatrial/load-test/1", alias="schema")
    own: OwnRun

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """It was stored as an imported record before."""
        return {**data, "schema": "seatrial/load-test/1"} if _is_old(data) else data


SpeedRecord = Measurement | ImportedRecord | LoadTestRecord


def load_speed(path: Path) -> SpeedRecord:
    """Read a record of speed, whoever was its clock.

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
