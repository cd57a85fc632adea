import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sealed import edit_record, read_unsealed
from seatrial.bench.loadgen import run as load_module
from seatrial.bench.loadgen.scenarios import LoadTestResult
from seatrial.cli import run_cli
from seatrial.engines import ENGINES
from seatrial.engines.base import read_engine
from seatrial.errors import EngineError, UsageError
from seatrial.machine.conditions import Conditions
from seatrial.store.imported import LoadTestRecord
from seatrial.workflow.load_test import LoadTestSpec, judge_load_test, make_job, run_load_test

needs_loadgen = pytest.mark.skipif(
    load_module.importlib.util.find_spec("mlperf_loadgen") is None, reason="LoadGen has no wheel for this Python"
)
FAKE_ENGINE = """
import os
from fake_engine import FakeEngine, FakeSession
from seatrial.errors import EngineError

class Engine(FakeEngine):
    def open(self, file, device, batch_size=None, streams=1):
        os.write(1, b"{a banner of C's}")
        session = FakeSession(file.pick(batch_size)[1])
        if file.manifest.options:
            session.answer = self.fail
        return session

    def fail(self, batch):
        raise EngineError("the device fell off", "put it back")
"""
START = """
import sys, seatrial.engines
seatrial.engines.ENGINES["fake"] = "broken_or_not:Engine"
from seatrial.bench.loadgen import worker
worker.main()
"""


@pytest.fixture(autouse=True)
def known_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process and LoadGen's know an engine named fake, and spares the look at the machine's load."""
    (tmp_path / "broken_or_not.py").write_text(FAKE_ENGINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ENGINES, "fake", "broken_or_not:Engine")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}", prepend=os.pathsep)
    monkeypatch.setattr(load_module, "WORKER", (sys.executable, "-P", "-c", START))
    monkeypatch.setattr(load_module, "read_conditions", lambda: Conditions(busy=0.5, swap_bytes=0))


def bench(folder: Path, *words: str) -> int:
    output = folder.parent / "speed" / "fake.json"
    return run_cli(["load-test", str(folder), "--output", str(output), "--duration", "0.05", *words])


@needs_loadgen
def test_a_valid_run_is_a_record_and_prints_what_mlperf_judges(
    write_engine: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(write_engine("fake"), "--scenario", "single-stream") == 0
    record = LoadTestRecord.load(tmp_path / "speed" / "fake.json")
    (point,), own = record.points, record.own
    assert own is not None and point.latency is not None and point.latency.count is not None
    assert (record.name, record.tool, record.device, record.precision, record.model) == (
        "fake", "mlperf", "cpu", "fp32", "tiny",
    )  # fmt: skip
    assert (point.scope, point.batch_size, point.streams) == ("host", 1, 1)
    assert point.images_per_s == pytest.approx(1000 / point.latency.mean_ms)
    assert point.latency.count >= 64
    assert (own.engine, own.executed, own.graph_sha256) == ("fake", {"fp32": 2}, "graph-hash")
    assert (own.scenario, own.preset, own.inputs) == (
        "single-stream",
        "quick",
        "random bytes, seed 0; 256 different ones",
    )
    assert (own.target_qps, own.target_latency_ms, own.unmet, own.differing) == (None, None, (), 0)
    assert own.environment.versions["mlcommons-loadgen"] == record.tool_version
    assert record.files[0].name == str(tmp_path / "speed" / "fake.mlperf" / "mlperf_log_summary.txt")
    assert "50% of the processors" in record.doubts[0] and len(record.doubts) == 1
    p90 = f"{point.latency.percentiles_ms['90']:.2f}"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"LoadGen: single-stream, 90 % of the queries within {p90} ms; VALID"


@needs_loadgen
def test_a_run_that_was_too_short_is_inconclusive(
    write_engine: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        (tmp_path / "photos").mkdir(exist_ok=True)
        picture.save(tmp_path / "photos" / f"{index}.png")
    # One image a second is expected, so that far too few are sent.
    words = (
        "--scenario",
        "offline",
        "--target-qps",
        "1",
        "--duration",
        "3",
        "--images",
        str(tmp_path / "photos"),
        "--json",
    )
    assert bench(write_engine("fake"), *words) == 7
    record = json.loads(capsys.readouterr().out)
    assert record == read_unsealed(tmp_path / "speed" / "fake.json")
    assert record["own"]["unmet"] == ["Min duration satisfied : NO"]
    assert record["own"]["inputs"] == f"images of {tmp_path / 'speed' / 'fake.images.npy'}; 3 different ones"
    assert (record["points"][0]["batch_size"], record["points"][0]["latency"]) == (16, None)


@needs_loadgen
def test_a_server_that_is_too_slow_fails(write_engine: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--scenario", "server", "--target-qps", "5000", "--target-latency-ms", "0.001", "--batch-size", "4")
    assert bench(write_engine("fake", sizes=(4,)), *words) == 4
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("LoadGen: server, 99 % of the queries within ")
    assert "ms of the 0.001 ms allowed; INVALID: Performance constraints satisfied : NO" in last


@needs_loadgen
def test_an_engine_that_fails_ends_the_run_and_leaves_nothing(
    write_engine: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_engine("fake")
    edit_record(folder / "engine.json", options={"broken": "yes"})
    assert bench(folder, "--scenario", "server", "--target-qps", "100") == 5
    assert capfd.readouterr().err.splitlines()[-1] == "seatrial: the device fell off; put it back"
    assert not (tmp_path / "speed").exists()


def test_without_loadgen_the_extra_is_named(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load_module.importlib.util, "find_spec", lambda name: None)
    assert bench(write_engine("fake"), "--scenario", "offline") == 5
    assert "pip install 'seatrial[mlperf]'" in capsys.readouterr().err


def test_a_small_library_and_other_predictions_are_doubts(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_worker(job: Any) -> LoadTestResult:
        summary = Path(__file__).parents[2] / "golden" / "logs" / "mlperf-server.txt"
        (job.logs / "mlperf_log_summary.txt").write_bytes(summary.read_bytes())
        return LoadTestResult(queries=1200, library=24, target_qps=9, sampled=64, differing=3)

    monkeypatch.setattr(load_module, "_run_worker", run_worker)
    monkeypatch.setattr(load_module.importlib.metadata, "version", lambda name: "6")
    file = read_engine(write_engine("fake", sizes=(32,)))
    job = make_job(file, LoadTestSpec("server", "mlperf", target_qps=9), tmp_path / "logs")
    record = load_module.run_loadgen(file, job)
    assert record.name == "logs"
    assert [doubt[:25] for doubt in record.doubts] == [
        "batch 16: it ran in a fil",
        "something else used 50% o",
        "Server: the rate is the l",
        "24 different images were ",
        "3 of 64 predictions of th",
    ]
    assert record.points[0].latency is not None and record.points[0].latency.count == 1200
    assert (record.own.unmet, record.own.wait_ms, record.own.target_latency_ms) == (
        (),
        1.5,
        15,
    )


@pytest.mark.parametrize(
    ("unmet", "code"),
    [
        ((), 0),
        (("Min duration satisfied : NO", "Early stopping satisfied: NO"), 7),
        (("Early stopping satisfied: NO",), 7),
        (("Performance constraints satisfied : NO", "Early stopping satisfied: NO"), 4),
    ],
)
def test_loadgens_verdict_decides_the_exit_code(unmet: tuple[str, ...], code: int) -> None:
    assert judge_load_test(SimpleNamespace(unmet=unmet)) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "queries", "batch_size", "wait_ms"),
    [
        (LoadTestSpec("offline"), 50, 16, 0),
        (LoadTestSpec("single-stream", min_samples=500), 500, 1, 0),
        (LoadTestSpec("multi-stream"), 662, 8, 0),
        (LoadTestSpec("multi-stream", batch_sizes=(4,), streams=2), 662, 4, 0),
        (LoadTestSpec("server", target_qps=10, target_latency_ms=7, batch_sizes=(2, 6)), 662, 6, 0.7),
    ],
)
def test_a_job_is_what_the_scenario_needs(
    spec: LoadTestSpec, queries: int, batch_size: int, wait_ms: float, write_engine: Callable[..., Path]
) -> None:
    job = make_job(read_engine(write_engine("fake")), spec, Path("logs"))
    assert (job.min_queries, job.batch_size) == (queries, batch_size)
    assert job.wait_ms == pytest.approx(wait_ms)
    assert job.streams == (spec.streams or 1)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (LoadTestSpec("ofline"), "there is no --scenario ofline; did you mean 'offline'"),
        (LoadTestSpec("offline", preset="mlperv"), "there is no --preset mlperv; did you mean 'mlperf'"),
        (LoadTestSpec("server"), "needs the images per second that arrive; give --target-qps"),
        (LoadTestSpec("multi-stream", target_qps=5), "waits for each response and takes no --target-qps"),
        (LoadTestSpec("offline", target_latency_ms=5), "judges no latency in scenario offline"),
        (LoadTestSpec("single-stream", streams=2), "one image, which 2 streams cannot share"),
        (LoadTestSpec("single-stream", batch_sizes=(4, 8)), "has 1 images, and --batch-size begins at 4"),
        (
            LoadTestSpec("offline", batch_sizes=(9,)),
            r"no file that takes batch 9 \(its largest is 8\); give --batch-size 8",
        ),
        (LoadTestSpec("offline", batch_sizes=(8,), duration_s=0), "'duration_s' is 0"),
    ],
)
def test_what_does_not_fit_the_scenario_is_refused(
    spec: LoadTestSpec, words: str, write_engine: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=words):
        make_job(read_engine(write_engine("fake", sizes=(1, 8))), spec, Path("logs"))


@pytest.mark.parametrize("option", ["--scenario", "--preset", "--target-qps", "--target-latency-ms"])
def test_benchs_old_options_name_the_new_verb(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["bench", "engine", "--output", "a.json", option, "5"]) == 2
    assert "give these options to `seatrial load-test`" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--processes", "--loop", "--scope", "--latency-budget-ms", "--stop-when-saturated"])
def test_an_option_that_would_be_ignored_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["load-test", "engine", "--output", "a.json", "--scenario", "offline", option, "2"]) == 2
    assert f"No such option: {option}" in capsys.readouterr().err


def test_a_worker_that_dies_is_an_engine_error(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seatrial.workflow.load_test.check_installed", lambda: None)
    monkeypatch.setattr(load_module, "WORKER", (sys.executable, "-c", "print('hello')"))
    with pytest.raises(EngineError, match="returned no result but b'hello"):
        run_load_test(write_engine("fake"), LoadTestSpec("offline"), tmp_path / "speed" / "a.json")
