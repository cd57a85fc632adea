"""`bench_engine` around a sweep that is scripted: what is found again, what changed, and the guides' summary."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_engine import make_graph
from run_folder import MACHINE, make_point
from seatrial.bench.measure import Limits
from seatrial.bench.sweep import SweepSpec
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines import ENGINES
from seatrial.engines.base import read_engine
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.results.speed import find_best, measure_speeds
from seatrial.store.measurement import Measurement
from seatrial.workflow import bench
from seatrial.workflow.bench import PROCESSES, bench_engine, find_prepared, prepare_pixels, write_guide_summaries

SPEC = SweepSpec(processes=PROCESSES)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ENGINES, "fake", "fake_engine:FakeEngine")
    folder = tmp_path / "run" / "engines" / "fake"
    folder.parent.mkdir(parents=True)
    build_engine(make_graph(tmp_path), BuildSpec("fake"), folder, compile=compile_here)
    return folder


def measurement(**changes: Any) -> Measurement:
    values = {
        "key": "k", "name": "fake", "engine": "fake", "device": "cpu", "precision": "fp32", "executed": {},
        "recipe": "small", "graph_sha256": "g", "preprocess_hash": "p", "inputs": "noise",
        "points": (make_point(4, (10.0, 30.0)), make_point(4, (20.0, 20.0)), make_point(8, (40.0, 40.0))),
        "doubts": ("noisy",), "environment": MACHINE, **changes,
    }  # fmt: skip
    return Measurement.model_validate(values)


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SweepSpec, Path]]:
    """The specs of the sweep, which returns `measurement`."""
    specs: list[tuple[SweepSpec, Path]] = []

    def sweep(folder: Path, spec: SweepSpec, progress: object, key: str, saved: Path) -> Measurement:
        specs.append((spec, saved))
        return measurement(key=key)

    monkeypatch.setattr(bench, "sweep", sweep)
    monkeypatch.setattr(bench, "read_environment", lambda: MACHINE)
    return specs


def test_what_is_given_is_measured_and_a_record_is_reused(
    engine: Path, tmp_path: Path, sweeps: list[tuple[SweepSpec, Path]]
) -> None:
    output = tmp_path / "speed" / "fake.json"
    first = bench_engine(engine, SPEC, output)
    assert bench_engine(engine, SPEC, output) == first == Measurement.load(output)
    ((spec, saved),) = sweeps
    assert (spec.processes, spec.scopes, saved) == (5, ("host",), tmp_path / "speed" / ".fake.points")
    bench_engine(engine, SPEC, output, force=True)
    bench_engine(engine, SweepSpec(scopes=("host", "e2e"), files=make_photos(tmp_path)), output)
    assert len(sweeps) == 3


def test_what_was_timed_until_it_was_known_well_enough_is_timed_again_for_more(
    engine: Path, tmp_path: Path, sweeps: list[tuple[SweepSpec, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "fake.json"

    def sweep(folder: Path, spec: SweepSpec, progress: object, key: str, saved: Path) -> Measurement:
        sweeps.append((spec, saved))
        facts = {"precision": spec.limits.precision, "stopped": "precision" if spec.limits.precision else "duration"}
        return measurement(key=key, points=(make_point(4, (10.0, 30.0)).model_copy(update=facts),))

    monkeypatch.setattr(bench, "sweep", sweep)
    done = []
    for precision in (0.05, 0.05, 0.02, 0.05, None, 0.02):
        bench_engine(engine, SweepSpec(limits=Limits(precision=precision)), output)
        done.append(len(sweeps))
    # The same again, and less, are found; the whole time is no less than any.
    assert done == [1, 1, 2, 2, 3, 3]


def make_photos(folder: Path) -> Path:
    (folder / "photos").mkdir(exist_ok=True)
    (folder / "photos" / "a.png").write_bytes(b"a picture")
    return folder / "photos"


def test_other_files_are_measured_anew(engine: Path, tmp_path: Path, sweeps: list[tuple[SweepSpec, Path]]) -> None:
    spec = SweepSpec(scopes=("e2e",), files=make_photos(tmp_path))
    bench_engine(engine, spec, tmp_path / "fake.json")
    (tmp_path / "photos" / "a.png").write_bytes(b"another picture")
    bench_engine(engine, spec, tmp_path / "fake.json")
    assert len(sweeps) == 2


def test_a_machine_that_changed_is_a_doubt(engine: Path, tmp_path: Path, sweeps: list[tuple[SweepSpec, Path]]) -> None:
    output = tmp_path / "fake.json"
    other = MACHINE.model_copy(update={"cores": MACHINE.cores + 2})
    measurement(key="old", environment=other).save(output)
    doubts = bench_engine(engine, SPEC, output).doubts
    assert doubts[0] == "noisy"
    assert f"measured elsewhere (cores: {other.cores}, now {MACHINE.cores})" in doubts[1]
    assert bench_engine(engine, SPEC, output, force=True).doubts == ("noisy",), "now it is this machine's"


def test_the_guides_summary_of_each_batch_size(tmp_path: Path) -> None:
    lines = write_guide_summaries(measurement(), tmp_path / "fake.json", ["seatrial", "bench"])
    assert [line for line in lines if "throughput" in line] == [
        "[INFO] throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(20.0): 200.0",
        "[INFO] throughput 1000*batchsize.mean(8)/NPU_compute_time.mean(40.0): 200.0",
    ]
    assert not any("H2D_latency" in line for line in lines)
    summary = json.loads((tmp_path / "fake_bs4_summary.json").read_text())
    assert summary["NPU_compute_time"] == {
        "min": 10, "max": 30, "mean": 20, "median": 20, "percentile(99%)": pytest.approx(29.7), "count": 4,
    }  # fmt: skip
    assert (summary["throughput"], summary["npu_compute_time_list"]) == (200, [10, 30, 20, 20])
    assert (summary["args"], summary["H2D_latency"]["count"]) == (["seatrial", "bench"], 0)
    assert (tmp_path / "fake_bs8_summary.json").exists()


def test_device_times_come_before_the_hosts(tmp_path: Path) -> None:
    device = make_point(4, (5.0, 5.0)).model_copy(
        update={"scope": "device", "copy_in_ms": (1.0, 3.0), "copy_out_ms": (0.5, 0.5)}
    )
    lines = write_guide_summaries(measurement(points=(make_point(4, (9.0,)), device)), tmp_path / "f.json", [])
    assert [line.partition(" (ms)")[0] for line in lines[1:4]] == [
        "[INFO] H2D_latency", "[INFO] NPU_compute_time", "[INFO] D2H_latency",
    ]  # fmt: skip
    assert lines[4].endswith("(5.0): 800.0")


@pytest.mark.parametrize(("shape", "found"), [((4, 4, 6, 3), True), ((4, 8, 6, 3), False), (None, False)])
def test_the_images_of_the_run_are_found_where_they_fit(
    shape: tuple[int, ...] | None, found: bool, engine: Path
) -> None:
    pixels = engine.parent.parent / "bench" / "images.npy"
    pixels.parent.mkdir()
    if shape is not None:
        np.save(pixels, np.zeros(shape, dtype=np.uint8))
    assert find_prepared(engine) == (pixels if found else None)


def test_one_image_is_followed_by_itself_moved_down(engine: Path, tmp_path: Path) -> None:
    pipeline = read_pipeline(read_engine(engine).manifest.graph)
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "a.png")
    pixels = np.load(prepare_pixels([tmp_path / "a.png"], pipeline, tmp_path / "images.npy"))
    assert pixels.shape == (2, *pipeline.shape)
    np.testing.assert_array_equal(pixels[1], np.roll(pixels[0], pipeline.shape[0] // 2, axis=0))
    assert (pixels[0] != pixels[1]).any()


def test_the_best_is_the_fastest_that_keeps_the_budget() -> None:
    speeds = measure_speeds(measurement(points=(make_point(1, (4.0,) * 9), make_point(8, (10.0,) * 8 + (60.0,)))))
    fastest, within, none = (find_best(speeds, budget) for budget in (None, 5, 3.9))
    assert fastest is not None and fastest.latency.batch_size == 8
    assert within is not None and within.latency.batch_size == 1
    assert none is None
