"""A load test is a record of its own kind, and those that stood among imported logs still load and compare."""

import json
from pathlib import Path
from typing import Any

import pytest

from imported_logs import make_imported
from run_folder import MACHINE
from seatrial.compare.speed_column import read_imported
from seatrial.errors import UsageError
from seatrial.store.imported import ImportedRecord, LoadTestRecord, load_speed
from seatrial.workflow.compare.inputs import detect_kind
from seatrial.workflow.compare.speed import read_columns

OWN: dict[str, Any] = {
    "engine": "openvino", "executed": {"fp32": 3}, "graph_sha256": "g", "preprocess_hash": "p", "inputs": "random",
    "scenario": "server", "preset": "quick", "batch_size": 8, "wait_ms": 1.0, "target_qps": 10.0,
    "target_latency_ms": 20.0, "unmet": [], "sampled": 3, "differing": 0,
    "environment": MACHINE.model_dump(mode="json"),
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """As version 0.1.0 stored a load test."""
    data = make_imported("server", {("host", 8): 100.0}, tool="mlperf").model_dump(mode="json", by_alias=True)
    (tmp_path / "server.json").write_text(json.dumps({**data, "own": OWN}))
    return tmp_path / "server.json"


def test_one_that_was_stored_as_an_imported_record_is_read_as_what_it_is(old: Path) -> None:
    record = load_speed(old)
    assert isinstance(record, LoadTestRecord)
    assert (record.schema_, record.own.scenario, record.points[0].images_per_s) == (
        "seatrial/load-test/1",
        "server",
        100,
    )
    record.save(old)
    assert json.loads(old.read_text())["schema"] == "seatrial/load-test/1"
    assert load_speed(old) == record
    with pytest.raises(UsageError, match="is a seatrial/load-test/1, not a seatrial/imported/1"):
        ImportedRecord.load(old)


def test_an_imported_record_of_before_loads_without_it(tmp_path: Path) -> None:
    record = make_imported("T4", {("device", 8): 100.0})
    data = record.model_dump(mode="json", by_alias=True)
    (tmp_path / "T4.json").write_text(json.dumps({**data, "own": None}))
    assert load_speed(tmp_path / "T4.json") == record


def test_compare_takes_it_and_knows_its_machine_and_graph(old: Path) -> None:
    assert detect_kind([old]) == "speed record"
    (column,) = read_columns([old])
    assert column.facts["graph"] == "g" and "cores" in str(column.facts["machine"])
    load_speed(old).save(old)
    assert detect_kind([old]) == "speed record" and read_columns([old])[0] == column
    assert "graph" not in read_imported(make_imported("T4", {("device", 8): 1.0}), "T4").facts
