"""Which settings are tried, and that what was measured is not measured again."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from seatrial.bench.measure import Limits
from seatrial.bench.worker import Job
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import DataError, RunInUse
from seatrial.store.measurement import Point
from seatrial.workflow.choose import measuring
from seatrial.workflow.choose.contenders import Contender
from seatrial.workflow.choose.measuring import MeasurementCount, Measuring, OpenProcesses, list_contenders


def test_streams_share_the_cores() -> None:
    settings = list_contenders("a", "cpu", (8, 1), 2)
    assert [(s.batch_size, s.streams, s.threads) for s in settings] == [
        (1, 1, None), (8, 1, None), (1, 2, None), (8, 2, None), (1, 4, None), (8, 4, None),
    ]  # fmt: skip
    assert {s.streams for s in list_contenders("a", "cpu", (1,), 1)} == {1, 2}
    assert {(s.streams, s.threads) for s in list_contenders("a", "cuda:0", (1,), 64)} == {
        (1, None),
        (2, None),
        (4, None),
    }


def test_on_many_cores_one_stream_is_tried_on_half_of_them() -> None:
    pairs = {(s.streams, s.threads) for s in list_contenders("a", "cpu", (1,), 8)}
    assert pairs == {(1, None), (2, None), (4, None), (8, None), (16, None), (1, 4)}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Jobs that were measured; the point is made up, as what is under test is which are."""
    jobs: list[Job] = []

    def answer(job: Job) -> Point:
        jobs.append(job)
        return Point(
            batch_size=job.batch_size, streams=job.streams, load_s=0, first_inference_ms=1, warmup=3,
            starts_s=(0.0, 1.0), durations_ms=(float(len(jobs)), 2.0), peak_rss_bytes=1, others_busy=0.1 * len(jobs),
        )  # fmt: skip

    monkeypatch.setattr(measuring, "run_worker", answer)
    return jobs


@pytest.fixture
def file(tiny_engines: Path) -> EngineFile:
    return read_engine(tiny_engines / "engines" / "onnxruntime")


def test_every_measurement_is_done_once(file: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    settings = [Contender("a", 2, 1), Contender("a", 2, 1, 1), Contender("a", 2, 2)]
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as first:
        found = [first.measure(each, file, number) for each in settings for number in range(2)]
        longer = first.measure(settings[0], file, 0, least=500)
        assert first.count() == MeasurementCount(reused=0, measured=7, processes=7)
    assert [job.file.manifest.options.get("threads") for job in asked[:6]] == [None, None, "1", "1", None, None]
    assert asked[-1].limits.min_samples == 500 and longer.durations_ms == (7.0, 2.0)
    assert [samples.quiet for samples in found] == [True, True, False, False, False, False]
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as second:
        assert [second.measure(each, file, number) for each in settings for number in range(2)] == found
        assert second.count() == MeasurementCount(reused=6, measured=0, processes=0)
    assert len(asked) == 7


def test_a_candidate_is_looked_at_in_one_process_as_often_as_it_takes(file: EngineFile, tmp_path: Path) -> None:
    settings = [Contender("a", 2, 1), Contender("a", 1, 2), Contender("a", 2, 1, 1)]
    pixels = np.zeros((4, *read_pipeline(file.manifest.graph).shape), np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as first:
        found = [first.screen(each, file, number) for number in range(2) for each in settings]
        assert first.count() == MeasurementCount(reused=0, measured=6, processes=1)
    assert all(len(samples.durations_ms) >= measuring.LEAST_SAMPLES for samples in found)
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as second:
        assert [second.screen(each, file, number) for number in range(2) for each in settings] == found
        assert second.count() == MeasurementCount(reused=6, measured=0, processes=0)


def test_a_process_that_died_is_started_again_and_one_that_cannot_run_is_an_error(
    file: EngineFile, tmp_path: Path
) -> None:
    job = Job(file=file, device="cpu", batch_size=1, limits=Limits(duration_s=0.01, min_samples=2))
    others = {*psutil.Process().children()}
    with OpenProcesses(1) as processes:
        first = processes.measure("a", job)
        for started in {*psutil.Process().children()} - others:
            started.kill()
            started.wait(20)
        again = processes.measure("a", job)
        assert first.batch_size == again.batch_size == 1 and processes.started == 2
        with pytest.raises(DataError):
            processes.measure("a", job.model_copy(update={"images": tmp_path / "none.npy"}))
        processes.measure("a", job)
        assert processes.started == 2


def test_another_build_is_measured_anew(file: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    setting = Contender("a", 1, 1)
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as first:
        first.measure(setting, file, 0)
    other = EngineFile(file.folder, file.manifest.model_copy(update={"key": "another"}))
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as second:
        second.measure(setting, other, 0)
    assert len(asked) == 2


def test_two_cannot_measure_into_one_folder(file: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    images = tmp_path / "images.npy"
    with Measuring(tmp_path / "points", images) as first, Measuring(tmp_path / "points", images) as second:
        first.measure(Contender("a", 1, 1), file, 0)
        with pytest.raises(RunInUse):
            second.measure(Contender("a", 1, 1), file, 0)


def test_what_was_chosen_has_its_outputs_checked(file: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    with Measuring(tmp_path / "points", tmp_path / "images.npy") as some:
        some.confirm(Contender("a", 1, 1), file)
    assert asked[0].check
