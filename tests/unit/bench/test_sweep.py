import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from seatrial.bench import sweep as sweep_module
from seatrial.bench.measure import Limits
from seatrial.bench.saved_points import SavedPoints
from seatrial.bench.sweep import SweepSpec, is_saturated, list_jobs, run_worker, sweep
from seatrial.bench.worker import Job
from seatrial.engines.base import read_engine
from seatrial.errors import DataError, EngineError, ParityError, UsageError
from seatrial.machine.conditions import Conditions
from seatrial.progress import Update
from seatrial.store.measurement import DeviceUse, Measurement, Point

QUICK = Limits(warmup_runs=2, warmup_s=0, duration_s=0, min_samples=6)
POINT = Point(
    batch_size=1,
    streams=1,
    load_s=0.1,
    first_inference_ms=20,
    warmup=3,
    starts_s=tuple(0.01 * i for i in range(6)),
    durations_ms=(10.0,) * 6,
    peak_rss_bytes=1,
)

FAKE_ENGINE = """
import os
from contextlib import contextmanager
import numpy as np
from seatrial.store.records import TensorSpec

class Session:
    input = TensorSpec(name="image", dtype="uint8", shape=(None, 4, 6, 3), layout="NHWC")

    def run(self, batch):
        return np.zeros((len(batch), 3), dtype=np.float32)

class Engine:
    @contextmanager
    def open(self, file, device, batch_size=None, streams=1):
        print("a banner of Python's")
        os.write(1, b"{a banner of C's}")
        with open(__file__ + ".opened", "a") as opened:
            opened.write(f"{os.getpid()}\\n")
        yield Session()
"""
START = """
import sys, seatrial.engines
seatrial.engines.ENGINES["fake"] = "fake_engine:Engine"
from seatrial.bench import inputs, worker
inputs.ROTATED_BYTES = 1
sys.exit(worker.serve_job(worker.measure_job))
"""


@pytest.fixture(autouse=True)
def fake_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets measuring processes know an engine named fake, and spares the look at the machine's load."""
    (tmp_path / "fake_engine.py").write_text(FAKE_ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    known = sweep_module.probe_engine
    monkeypatch.setattr(sweep_module, "probe_engine", lambda file: file if "fake" in file.folder.name else known(file))
    monkeypatch.setattr(sweep_module, "WORKER", (sys.executable, "-P", "-c", START))
    monkeypatch.setattr(sweep_module, "read_conditions", lambda: Conditions(busy=0.5, swap_bytes=0))


def test_a_sweep_measures_every_point_round_by_round(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def answer(job: Job) -> Point:
        jobs.append(job)
        return POINT.model_copy(update={"batch_size": job.batch_size, "streams": job.streams})

    monkeypatch.setattr(sweep_module, "run_worker", answer)
    updates: list[Update] = []
    spec = SweepSpec(batch_sizes=(1, 4), streams=(1, 2), processes=2, limits=QUICK)
    measured = sweep(write_engine("fake"), spec, updates.append)
    one_round = [(1, 1), (4, 1), (1, 2), (4, 2)]
    assert [(job.batch_size, job.streams) for job in jobs] == one_round * 2
    assert [(point.batch_size, point.streams) for point in measured.points] == one_round * 2
    assert {(job.device, job.limits) for job in jobs} == {("cpu", QUICK)}
    assert (measured.device, measured.inputs) == ("cpu", "random bytes, seed 0")
    assert [update.done for update in updates] == list(range(9))
    assert {update.total for update in updates} == {8}
    assert updates[-1].facts == {"images/s": "800.0"}  # 2 streams, each 4 images in 10 ms
    assert any(doubt.startswith("batch 4 on 2 streams: 12 samples are too few") for doubt in measured.doubts)


def test_a_device_that_is_not_idle_is_reported_at_once(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = POINT.model_copy(update={"device_before": DeviceUse(busy=0.4)})
    monkeypatch.setattr(sweep_module, "run_worker", lambda job: busy)
    updates: list[Update] = []
    measured = sweep(write_engine("fake"), SweepSpec(processes=2, limits=QUICK), updates.append)
    text = "batch 1: something else kept the device 40% busy just before or after it was measured; stop it and"
    notes = [(number, update.note) for number, update in enumerate(updates) if update.note]
    assert [number for number, _ in notes] == [1], "after the first point, and once"
    assert notes[0][1].startswith(f"doubt: {text}")
    assert [doubt for doubt in measured.doubts if doubt.startswith(text)] == [notes[0][1].removeprefix("doubt: ")]


def test_a_measurement_names_what_was_measured(write_engine: Callable[..., Path], tmp_path: Path) -> None:
    measured = sweep(write_engine("fake"), SweepSpec(processes=2, limits=QUICK), key="abc")
    assert all(len(point.durations_ms) >= 6 for point in measured.points)
    assert (measured.key, measured.name, measured.engine, measured.device) == ("abc", "tiny-fake", "fake", "cpu")
    assert (measured.precision, measured.executed, measured.recipe) == ("fp32", {"fp32": 2}, "tiny")
    assert (measured.graph_sha256, measured.preprocess_hash) == ("graph-hash", "preprocess-hash")
    assert "50% of the processors" in measured.doubts[0]
    measured.save(tmp_path / "bench.json")
    assert Measurement.load(tmp_path / "bench.json") == measured

    opened = (tmp_path / "fake_engine.py.opened").read_text().splitlines()
    assert len({*opened, str(os.getpid())}) == 3


def test_padding_is_a_doubt_and_a_larger_batch_an_error(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_engine("fake", sizes=(2, 8))
    monkeypatch.setattr(sweep_module, "run_worker", lambda job: POINT)
    doubts = sweep(folder, SweepSpec(batch_sizes=(2, 6), limits=QUICK)).doubts
    assert [d for d in doubts if "padding" in d] == [
        "batch 6: it ran in a file built for batch 8, so 25% of the work was padding; "
        "`compile --batch-size` with that size gives its own speed"
    ]
    with pytest.raises(UsageError, match=r"no file that takes batch 9 \(its batch sizes: 2, 8\); compile it with"):
        sweep(folder, SweepSpec(batch_sizes=(9,)))


def test_a_batch_that_has_no_memory_is_a_row_and_the_others_go_on(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def answer(job: Job) -> Point:
        jobs.append(job)
        if job.batch_size == 64:
            raise EngineError("batch 64 does not fit into memory on cpu", "take a smaller --batch-size")
        return POINT.model_copy(update={"batch_size": job.batch_size})

    monkeypatch.setattr(sweep_module, "run_worker", answer)
    measured = sweep(write_engine("fake"), SweepSpec(batch_sizes=(1, 64, 4), processes=3, limits=QUICK))
    assert [job.batch_size for job in jobs] == [1, 64, 4, 1, 4, 1, 4], "it is not tried again"
    assert [point.batch_size for point in measured.points] == [1, 4, 1, 4, 1, 4]
    (absent,) = measured.unmeasured
    assert (absent.setting, absent.reason) == (("host", 1, 64), "batch 64 does not fit into memory on cpu")


@pytest.mark.parametrize(
    ("rates", "saturated"),
    [
        ((100, 101), False),
        ((100, 101, 104), False),
        ((100, 101, 101.9), True),
        ((100, 150, 120, 200), False),
        ((100, 150, 152, 120), True),
    ],
)
def test_saturation_takes_two_batches_without_gain(rates: tuple[float, ...], saturated: bool) -> None:
    assert is_saturated(rates) == saturated


def test_a_saturated_sweep_leaves_the_rest_out_of_every_round(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[int] = []

    def answer(job: Job) -> Point:
        jobs.append(job.batch_size)
        # 100, 200, 200, 200 images/s; the second round would look different.
        times = {1: 10.0, 2: 10.0, 4: 20.0, 8: 40.0}[job.batch_size] / (1 + (len(jobs) > 4))
        return POINT.model_copy(update={"batch_size": job.batch_size, "durations_ms": (times,) * 6})

    monkeypatch.setattr(sweep_module, "run_worker", answer)
    spec = SweepSpec(batch_sizes=(8, 32, 1, 4, 2, 16), processes=2, limits=QUICK, stop_when_saturated=True)
    measured = sweep(write_engine("fake"), spec)
    assert jobs == [1, 2, 4, 8] * 2
    assert [(u.batch_size, "no more images/s" in u.reason) for u in measured.unmeasured] == [(16, True), (32, True)]


def test_a_sweep_that_was_stopped_goes_on(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[int] = []
    folder, saved = write_engine("fake"), tmp_path / ".bench.points"

    def answer(job: Job) -> Point:
        jobs.append(job.batch_size)
        if len(jobs) == 3:
            raise KeyboardInterrupt
        return POINT.model_copy(update={"batch_size": job.batch_size})

    monkeypatch.setattr(sweep_module, "run_worker", answer)
    spec = SweepSpec(batch_sizes=(1, 4), processes=2, limits=QUICK)
    with pytest.raises(KeyboardInterrupt):
        sweep(folder, spec, key="abc", saved=saved)
    sorted(saved.glob("0*.json"))[1].write_text("{cut off")
    measured = sweep(folder, spec, key="abc", saved=saved)
    assert jobs == [1, 4, 1, 4, 1, 4], "the damaged point and the two that were not reached"
    assert [point.batch_size for point in measured.points] == [1, 4, 1, 4]
    assert any(doubt.startswith("1 of its 4 points are of an earlier attempt") for doubt in measured.doubts)
    assert not saved.exists()


def test_points_of_another_sweep_are_not_taken(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_engine("fake")
    saved = SavedPoints(tmp_path / ".bench.points", "other machine")
    job = list_jobs(read_engine(folder), SweepSpec(limits=QUICK))[0]
    saved.save(job, 0, POINT)
    assert saved.find(job, 0) == POINT
    assert saved.find(job.model_copy(update={"check": False}), 0) is None
    assert SavedPoints(tmp_path / ".bench.points", "abc").find(job, 0) is None


def test_an_engine_that_caches_outputs_is_refused_and_its_points_forgotten(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheat = POINT.model_copy(update={"fresh_ms": (2.0,) * 5, "repeated_ms": (1.0,) * 5})
    monkeypatch.setattr(sweep_module, "run_worker", lambda job: cheat)
    with pytest.raises(ParityError, match=r"fake runs a batch that it has seen 2\.0 times as fast"):
        sweep(write_engine("fake"), SweepSpec(processes=2, limits=QUICK), key="abc", saved=tmp_path / "points")
    assert not (tmp_path / "points").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scopes": ("host", "device"), "streams": (1, 2)}, "scope device is measured with one stream"),
        ({"scopes": ("e2e",)}, "scope e2e reads image files; give the folder with --images"),
    ],
)
def test_scopes_that_cannot_be_are_refused_before(
    changes: dict[str, tuple[str, ...]], words: str, write_engine: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=words):
        sweep(write_engine("fake"), SweepSpec.model_validate(changes))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            r"measured batch 13 on cpu was killed by SIGKILL; memory may have run out: try a smaller batch",
        ),
        (
            "raise RuntimeError('device fell off the bus')",
            r"measured batch 13 on cpu ended with exit code 1: RuntimeError: device fell off the bus$",
        ),
        ("raise SystemExit(3)", r"measured batch 13 on cpu ended with exit code 3: it wrote no error$"),
        ("print('Hello')", r"measured batch 13 on cpu returned no result but b'Hello\\n'"),
    ],
)
def test_a_dead_process_is_an_engine_error(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    known = sweep_module.probe_engine
    monkeypatch.setattr(sweep_module, "probe_engine", lambda file: file if "fake" in file.folder.name else known(file))
    monkeypatch.setattr(sweep_module, "WORKER", (sys.executable, "-S", "-c", script))
    with pytest.raises(EngineError, match=words):
        sweep(write_engine("fake"), SweepSpec(batch_sizes=(13,), limits=QUICK))


def test_the_users_errors_keep_their_kind(write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"error": "DataError", "problem": "no images", "fix": "bring some"})
    script = f"print({answer!r}); raise SystemExit(6)"
    known = sweep_module.probe_engine
    monkeypatch.setattr(sweep_module, "probe_engine", lambda file: file if "fake" in file.folder.name else known(file))
    monkeypatch.setattr(sweep_module, "WORKER", (sys.executable, "-S", "-c", script))
    with pytest.raises(DataError, match=r"^no images; bring some$") as caught:
        sweep(write_engine("fake"), SweepSpec(limits=QUICK))
    assert caught.value.fix == "bring some"


def test_an_interrupted_sweep_leaves_no_process(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
        def communicate(self, *args: object, **kwargs: object) -> tuple[bytes, bytes]:
            started.append(self)
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(write_engine("fake"), SweepSpec(limits=Limits(duration_s=1000)))
    assert [child.returncode for child in started] == [-9]


def test_the_real_worker_reports_in_json(write_engine: Callable[..., Path]) -> None:
    file = read_engine(write_engine("fake"))
    gone = file.pick()[0]
    gone.unlink()
    job = Job(file=file, device="cpu", batch_size=1)
    command = [sys.executable, "-P", "-m", "seatrial.bench.worker"]
    done = subprocess.run(command, input=job.model_dump_json(by_alias=True).encode(), capture_output=True, check=False)
    assert done.returncode == 8
    assert json.loads(done.stdout) == {
        "error": "RefusedFile",
        "problem": f"{gone} is missing",
        "fix": "compile it again with `seatrial compile`",
    }


def test_the_real_worker_times_a_real_engine(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["floats"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["floats"], ["class"], axes=[1, 2], keepdims=0),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "means",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 4, 6, 3])],
        [onnx.helper.make_tensor_value_info("class", onnx.TensorProto.FLOAT, ["N", 3])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    folder = write_engine("onnxruntime", contents=model.SerializeToString())
    point = run_worker(Job(file=read_engine(folder), device="cpu", batch_size=40000, streams=2, limits=QUICK))
    assert (point.batch_size, point.streams) == (40000, 2)
    assert len(point.durations_ms) == len(point.starts_s) >= 6
    # Two batches of 40,000 images for each stream are held, 2.9 MB each.
    assert point.peak_rss_bytes > 2 * 2 * 40000 * 4 * 6 * 3
