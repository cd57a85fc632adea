import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fake_engine import FakeSession, answer
from seatrial.bench.inputs import make_random_pixels
from seatrial.bench.loadgen.scenarios import MLPERF_S, SCENARIOS, LoadTestJob
from seatrial.bench.loadgen.worker import load_test, make_settings, read_predictions
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import EngineFile, read_engine

loadgen = pytest.importorskip("mlperf_loadgen", reason="LoadGen has no wheel for this Python")
SETTINGS = """
import json, sys, mlperf_loadgen
from seatrial.bench.loadgen.scenarios import LoadTestJob
from seatrial.bench.loadgen.worker import make_settings
settings = make_settings(mlperf_loadgen, LoadTestJob.model_validate_json(sys.argv[1]), 4.0)
names = ("min_duration_ms", "min_query_count", "server_target_latency_ns", "performance_sample_count_override")
print(json.dumps([getattr(settings, name) for name in names] + [settings.qsl_rng_seed > 0]))
"""


class OneSession:
    """Opens the same session whatever its settings, and notes them."""

    def __init__(self, session: FakeSession) -> None:
        self.session = session

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> FakeSession:
        self.opened = (device, batch_size, streams)
        return self.session


def make_job(folder: Path, **changes: Any) -> LoadTestJob:
    values = {
        "file": read_engine(folder),
        "device": "cpu",
        "scenario": "single-stream",
        "preset": "quick",
        "duration_s": 0.05,
        "min_queries": 70,
        "batch_size": 1,
        "logs": folder,
    }
    return LoadTestJob.model_validate(values | changes)


@pytest.mark.parametrize(
    ("scenario", "batch_size", "streams"),
    [
        ("single-stream", 1, 1),
        ("multi-stream", 8, 1),
        ("multi-stream", 4, 2),
        ("offline", 16, 2),
        ("server", 4, 2),
    ],
)
def test_loadgen_gets_the_engines_predictions(
    scenario: str, batch_size: int, streams: int, write_engine: Callable[..., Path]
) -> None:
    folder = write_engine("fake")
    job = make_job(folder, scenario=scenario, batch_size=batch_size, streams=streams, target_qps=5000, wait_ms=0.2)
    engine = OneSession(FakeSession())
    played = load_test(job, engine)  # type: ignore[arg-type]
    assert engine.opened == ("cpu", batch_size, streams)
    assert max(len(batch) for batch in engine.session.given) == batch_size
    assert played.queries == 1 if scenario == "offline" else played.queries >= 70
    assert (played.library, played.differing) == (256, 0)
    assert played.target_qps == (5000 if scenario in ("offline", "server") else None)

    classes = answer(make_random_pixels(read_pipeline(job.file.manifest.graph), 0, 256)).argmax(axis=1)
    sampled = read_predictions((folder / "mlperf_log_accuracy.json").read_text())
    assert len(sampled) == played.sampled > 0
    assert sampled == [(index, classes[index]) for index, _ in sampled]
    assert f"Scenario : {SCENARIOS[scenario].name}" in (folder / "mlperf_log_summary.txt").read_text()


def test_another_prediction_under_load_is_noticed(write_engine: Callable[..., Path], tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.full((5, 4, 6, 3), 77, dtype=np.uint8))
    folder = write_engine("fake")
    # LoadGen asks from a thread of its own.
    session = FakeSession(
        answer=lambda batch: np.eye(4)[[int(threading.current_thread() is threading.main_thread())] * len(batch)]
    )
    job = make_job(folder, images=tmp_path / "images.npy")
    played = load_test(job, OneSession(session))  # type: ignore[arg-type]
    assert played.library == 5
    assert played.differing == played.sampled > 0


@pytest.mark.parametrize(
    ("scenario", "figures"),
    [
        ("single-stream", [1000 * MLPERF_S, 100]),
        ("multi-stream", [1000 * MLPERF_S, 662]),
        ("server", [1000 * MLPERF_S, 100]),
        ("offline", [1000 * MLPERF_S, 24_576]),
    ],
)
def test_the_mlperf_preset_is_loadgens_own(
    scenario: str, figures: list[int], write_engine: Callable[..., Path]
) -> None:
    # In a fresh process, as LoadGen reads its rules once.
    job = make_job(write_engine("fake"), scenario=scenario, preset="mlperf", target_qps=9)
    command = [sys.executable, "-c", SETTINGS, job.model_dump_json(by_alias=True)]
    settings = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert settings == [*figures, 15_000_000, 0, True]


def test_settings_of_a_quick_run(write_engine: Callable[..., Path]) -> None:
    fake = SimpleNamespace(
        TestSettings=lambda: SimpleNamespace(server_target_qps=1.0), TestScenario=loadgen.TestScenario,
        TestMode=loadgen.TestMode,
    )  # fmt: skip
    job = make_job(write_engine("fake"), scenario="multi-stream", batch_size=4, duration_s=2.5)
    settings = make_settings(fake, job, 3.0)
    assert settings.scenario == loadgen.TestScenario.MultiStream
    assert (settings.min_duration_ms, settings.min_query_count) == (2500, 70)
    # Two batches make a query of 6 ms; half of it, so that LoadGen draws queries enough.
    assert settings.multi_stream_expected_latency_ns == 3e6
    assert settings.offline_expected_qps == pytest.approx(4000 / 3)


def test_predictions_are_read_as_they_were_sent() -> None:
    classes = np.array([3, 999], dtype=np.int32)
    rows = [{"seq_id": 0, "qsl_idx": 7, "data": classes[:1].tobytes().hex().upper()}]
    rows.append({"seq_id": 5, "qsl_idx": 1, "data": classes[1:].tobytes().hex()})
    assert read_predictions(json.dumps(rows)) == [(7, 3), (1, 999)]
