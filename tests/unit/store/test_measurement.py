"""Records of speed: what an earlier version stored still loads, and repeats are found."""

import json
from pathlib import Path
from typing import Any

import pytest

from run_folder import make_point
from seatrial.errors import StorageError, UsageError
from seatrial.store import unfinished
from seatrial.store.imported import check_output
from seatrial.store.measurement import Measurement, Point

OLD: dict[str, Any] = {
    "schema": "seatrial/measurement/1",
    "key": "k", "name": "torch", "engine": "torch", "device": "cpu", "precision": "fp32", "executed": {},
    "recipe": "digits", "graph_sha256": "g", "preprocess_hash": "p", "inputs": "random bytes, seed 0",
    "points": [
        {
            "batch_size": 4, "streams": 1, "scope": "host", "load_s": 0.1, "first_inference_ms": 20.0, "warmup": 3,
            "steady": True, "starts_s": [0.0, 0.01], "durations_ms": [10.0, 11.0], "peak_rss_bytes": 1,
        }
    ],
    "doubts": [],
    "environment": {
        "cpu": "Chip", "cpu_flags": ["avx2"], "cores": 2, "memory_bytes": 1, "system": "Linux", "python": "3.12",
        "versions": {},
    },
}  # fmt: skip


def test_a_record_of_version_1_loads(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(OLD))
    found = Measurement.load(tmp_path / "old.json")
    (point,) = found.points
    assert (point.scope, point.durations_ms, point.outputs_checked) == ("host", (10.0, 11.0), None)
    assert (found.schema_, found.unmeasured, found.environment.accelerators) == ("seatrial/measurement/2", (), ())
    found.save(tmp_path / "new.json")
    assert Measurement.load(tmp_path / "new.json") == found


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(json.dumps({**OLD, "schema": "seatrial/measurement/3"}))
    with pytest.raises(UsageError, match=r"is a seatrial/measurement/3, not a seatrial/measurement/2"):
        Measurement.load(tmp_path / "new.json")


def point(batch_size: int, streams: int = 1, **changes: Any) -> Point:
    return make_point(batch_size, (1.0,), streams).model_copy(update=changes)


def test_repeats_are_grouped_smallest_first() -> None:
    points = (point(8), point(1, 2), point(1), point(8), point(8, scope="e2e"), point(4, durations_ms=()))
    found = Measurement.model_validate(OLD | {"schema": "seatrial/measurement/2", "points": points}).by_setting()
    assert {setting: len(group) for setting, group in found.items()} == {
        ("e2e", 1, 8): 1,
        ("host", 1, 1): 1,
        ("host", 1, 8): 2,
        ("host", 2, 1): 1,
    }
    assert list(found) == sorted(found)


def test_one_scope_can_be_asked_for() -> None:
    points = (point(1), point(1, scope="device"), point(2, scope="device"))
    found = Measurement.model_validate(OLD | {"schema": "seatrial/measurement/2", "points": points})
    assert list(found.by_setting("device")) == [("device", 1, 1), ("device", 1, 2)]
    assert found.by_setting("e2e") == {}


@pytest.mark.parametrize("ms", [0.0, -1.0])
def test_a_sample_takes_time(ms: float, tmp_path: Path) -> None:
    points = [OLD["points"][0] | {"durations_ms": [10.0, ms]}]
    (tmp_path / "odd.json").write_text(json.dumps(OLD | {"points": points}))
    with pytest.raises(UsageError, match=rf"odd\.json: 'points\.0\.durations_ms\.1' is {ms}: .* greater than 0"):
        Measurement.load(tmp_path / "odd.json")


@pytest.mark.parametrize("text", ["my notes", "{}", '{"schema": "seatrial/engine/1"}', '{"schema": "seatrial/imp'])
def test_what_is_no_record_of_speed_is_not_overwritten(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=r"a\.json is no record of speed, and would be lost; choose another --output"):
        check_output(tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text() == text


@pytest.mark.parametrize("text", ["", '{"schema": "seatrial/measurement/1"}', '{"schema": "seatrial/imported/1"}'])
def test_a_record_of_speed_may_be_replaced(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    check_output(tmp_path / "a.json")
    check_output(tmp_path / "new" / "b.json")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.json", "new"]


def test_where_no_file_can_stand_is_known_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder, the record needs a file"):
        check_output(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        check_output(tmp_path / "file" / "a.json")
    with pytest.raises(StorageError, match=r"^/proc(/a\.json)? "):
        check_output(Path("/proc/a.json"))


def test_a_check_that_is_killed_leaves_what_the_next_command_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(unfinished, "_remove", lambda folder: seen.append(folder.name))
    check_output(tmp_path / "a.json")
    monkeypatch.undo()
    assert seen and all(name.endswith(unfinished.SUFFIX) for name in seen)
    check_output(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
