"""A sweep that goes on, read by somebody else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from run_folder import make_point
from seatrial.bench import sweep as sweep_module
from seatrial.bench.follow import SweepFollower
from seatrial.bench.saved_points import SavedPoints
from seatrial.bench.sweep import SweepSpec, list_jobs, sweep
from seatrial.bench.worker import Job
from seatrial.engines.base import read_engine
from seatrial.errors import RunInUse
from seatrial.machine.file_locks import LOCKS, is_locked, read_locks
from seatrial.store.measurement import Point


def show(folder: Path) -> list[tuple[int, float | None]] | None:
    found = SweepFollower(folder).read()
    return None if found is None else [(each.plan.batch_size, each.images_per_s) for each in found]


def test_points_are_there_as_they_are_measured(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, saved, seen = write_engine("onnxruntime"), tmp_path / ".onnxruntime.points", []
    follower = SweepFollower(saved)

    def answer(job: Job) -> Point:
        found = follower.read()
        assert found is not None
        seen.append([each.images_per_s for each in found])
        assert not LOCKS.exists() or is_locked(saved / ".lock", read_locks())
        # A batch takes 10 ms.
        return make_point(job.batch_size, (10.0, 10.0))

    monkeypatch.setattr(sweep_module, "run_worker", answer)
    assert follower.read() is None
    sweep(folder, SweepSpec(batch_sizes=(1, 4), processes=2), key="abc", saved=saved)
    assert seen == [[None] * 4, [100, None, None, None], [100, 400, None, None], [100, 400, 100, None]]
    assert follower.read() is None and not saved.exists()


def test_a_sweep_that_was_stopped_leaves_its_plan_and_its_points(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, saved = write_engine("onnxruntime"), tmp_path / ".onnxruntime.points"

    def answer(job: Job) -> Point:
        if job.batch_size == 4:
            raise KeyboardInterrupt
        return make_point(job.batch_size, (10.0,))

    monkeypatch.setattr(sweep_module, "run_worker", answer)
    with pytest.raises(KeyboardInterrupt):
        sweep(folder, SweepSpec(batch_sizes=(1, 4)), key="abc", saved=saved)
    assert show(saved) == [(1, 100.0), (4, None)]
    assert not is_locked(saved / ".lock", read_locks())
    # What another sweep left is not among the points of this one.
    with SavedPoints(saved, "other") as points:
        points.begin(list_jobs(read_engine(folder), SweepSpec(batch_sizes=(1, 4))))
        assert show(saved) == [(1, None), (4, None)]
        with pytest.raises(RunInUse, match="another process measures into"):
            SavedPoints(saved, "abc").begin([])


def test_a_sweep_without_a_point_leaves_nothing(write_engine: Callable[..., Path], tmp_path: Path) -> None:
    folder, saved = write_engine("onnxruntime"), tmp_path / ".onnxruntime.points"
    with SavedPoints(saved, "abc") as points:
        points.begin(list_jobs(read_engine(folder), SweepSpec()))
        assert show(saved) == [(1, None)]
    assert not saved.exists()


def test_a_plan_that_is_damaged_or_leads_elsewhere_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    assert show(tmp_path) is None
    (tmp_path / "plan.json").write_text(
        '{"points": [{"batch_size": 1, "streams": 1, "scope": "host", "file": "../../etc/passwd"}]}'
    )
    assert show(tmp_path) == [(1, None)]
