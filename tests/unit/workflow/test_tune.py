"""The search over settings, on a machine whose rates are a formula; and one small real tuning."""

from pathlib import Path

import pytest

from seatrial.bench.worker import Job
from seatrial.engines.base import EngineFile, read_engine
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import UsageError
from seatrial.progress import Update, silent
from seatrial.store.measurement import Point
from seatrial.store.records import EngineManifest
from seatrial.store.tuning import Setting
from seatrial.workflow import tune
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.tune import DURATION_S, ROUNDS, Tuner, list_series, tune_graph
from uneven_network import make_network, write_graph

SIZES = (1, 2, 4, 8, 16, 32)


def rate_of(batch_size: int, streams: int, threads: int) -> float:
    """Images per second: best at batch 8 on 2 streams of 2 threads."""
    return 100 * threads**0.25 / (1 + abs(batch_size - 8) / 8) / (1 + abs(streams - 2))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Jobs in the order in which they were measured; each takes as long as the formula says."""
    jobs: list[Job] = []

    def answer(job: Job) -> Point:
        jobs.append(job)
        rate = rate_of(job.batch_size, job.streams, int(job.file.manifest.options["threads"]))
        times = (1000 * job.batch_size * job.streams / rate,) * 3
        return Point(
            batch_size=job.batch_size, streams=job.streams, load_s=0, first_inference_ms=1, warmup=3,
            starts_s=(0.0, 1.0, 2.0), durations_ms=times, peak_rss_bytes=1,
        )  # fmt: skip

    monkeypatch.setattr(tune, "run_worker", answer)
    monkeypatch.setattr(tune, "count_cores", lambda: 2)
    return jobs


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    folder = tmp_path_factory.mktemp("engine")
    graph = write_graph(folder / "model.onnx", make_network(uneven=1))
    return compile_graph(graph, BuildSpec("onnxruntime", batch_sizes=SIZES), folder / "engine")


def test_the_settings_of_two_cores(asked: list[Job]) -> None:
    series = list_series("cpu")
    assert all([s.batch_size for s in settings] == list(SIZES) for settings in series)
    assert [(s[0].streams, s[0].threads) for s in series] == [(1, 2), (2, 1), (2, 2), (4, 1), (4, 2)]
    assert {(s[0].streams, s[0].threads) for s in list_series("cuda:0")} == {
        (1, None),
        (2, None),
        (4, None),
    }


def test_it_finds_the_fastest_in_a_third_of_the_time(engine: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    series = list_series("cpu")
    found = Tuner(engine, DURATION_S, tmp_path / "trials.json", silent).search(series)
    assert (found.best.batch_size, found.best.streams, found.best.threads) == (8, 2, 2)
    assert found.best.images_per_s == pytest.approx(rate_of(8, 2, 2))
    assert len(found.trials) == len(asked)
    exhaustive = 10.0 * sum(len(settings) for settings in series)
    assert sum(job.limits.duration_s for job in asked) < 0.3 * exhaustive


def test_a_series_ends_once_it_has_fallen_behind(engine: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    series = [[Setting(batch_size=size, streams=1, threads=1) for size in (8, 16, 32, 64, 128)]]
    Tuner(engine, DURATION_S, tmp_path / "trials.json", silent).search(series)
    first = ROUNDS[0][0] * 10.0
    assert [job.batch_size for job in asked if job.limits.duration_s == first] == [8, 16, 32]


def test_what_was_tried_is_not_tried_again(engine: EngineFile, asked: list[Job], tmp_path: Path) -> None:
    ledger, series = tmp_path / "trials.json", list_series("cpu")
    whole = Tuner(engine, DURATION_S, tmp_path / "whole.json", silent).search(series)
    count = len(asked)

    def stop(update: Update) -> None:
        if len(asked) == count + 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Tuner(engine, DURATION_S, ledger, stop).search(series)
    told: list[Update] = []
    assert Tuner(engine, DURATION_S, ledger, told.append).search(series) == whole
    assert len(asked) == 2 * count
    assert told[0].note == "already tried: 7 settings"


def test_the_fastest_engine_is_left(asked: list[Job], tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", make_network(uneven=1))
    spec = BuildSpec("onnxruntime", batch_sizes=(4, 8))
    built = tune_graph(graph, spec, tmp_path / "tuned")
    stored = EngineManifest.load(tmp_path / "tuned" / "engine.json")
    assert stored == built.manifest and stored.tuning is not None
    assert [model.batch_size for model in stored.files] == [8]
    assert stored.options == {"threads": "2"} and stored.tuning.best.streams == 2
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.onnx.json", "tuned"}
    count = len(asked)
    assert tune_graph(graph, spec, tmp_path / "tuned") == built == read_engine(built.folder)
    assert len(asked) == count


def test_a_graph_of_one_batch_has_nothing_to_tune(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", make_network(uneven=1, batch=2))
    with pytest.raises(UsageError, match="fixed to batch 2"):
        tune_graph(graph, BuildSpec("onnxruntime"), tmp_path / "tuned")
