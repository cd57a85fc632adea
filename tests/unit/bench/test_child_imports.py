"""A process that measures loads its engine's SDK, and nothing that only other engines, pages or judgements need."""

import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.bench.measure import Limits
from seatrial.bench.worker import Job
from seatrial.engines.base import read_engine
from seatrial.store.json_text import write_json
from seatrial.store.measurement import Point
from seatrial.strict import Strict

MEASURE = """
import json, sys
from seatrial.bench.worker import measure_job
point = measure_job(json.load(sys.stdin))
print(json.dumps({"point": json.loads(point), "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
NEEDLESS = {"torch", "torchvision", "timm", "sympy", "onnx", "pyarrow", "pandas", "scipy", "altair", "jinja2", "typer"}


class Answer(Strict):
    """What `MEASURE` prints."""

    point: Point
    modules: tuple[str, ...]


@pytest.mark.parametrize(("engine", "other"), [("onnxruntime", "openvino"), ("openvino", "onnxruntime")])
def test_a_measuring_process_loads_its_own_sdk_alone(engine: str, other: str, tiny_run: Path) -> None:
    limits = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0.01, min_samples=2, precision=0.025)
    job = Job(file=read_engine(tiny_run / "engines" / engine), device="cpu", batch_size=1, limits=limits)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], input=write_json(job), capture_output=True, text=True, check=True
    )
    found = Answer.model_validate_json(done.stdout.splitlines()[-1])
    assert engine in found.modules
    assert not (NEEDLESS | {other}) & {*found.modules}
    # What ended it, and what it was to end by, go with the samples.
    assert (found.point.precision, found.point.stopped) == (0.025, "duration")
