"""benchmarks/gpu.py on the CPU: that it runs, and that it does not overlook a wrong answer."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def ceilings() -> Any:
    """What this machine can do at most, measured once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import gpu
    return gpu.measure_ceilings(torch.device("cpu"), ["bf16"])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, ceilings: Any) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    monkeypatch.setattr(gpu, "measure_ceilings", lambda device, precisions: ceilings)
    return gpu


def run_here(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, measure: Any, *words: str) -> int:
    """Its main program, with what measures a point replaced."""
    monkeypatch.setattr(gpu, "make_case", lambda name, folder: DescribedCase)
    monkeypatch.setattr(gpu, "measure_point", measure)
    code: int = gpu.main(["--device", "cpu", "--networks", "resnet50", "--precisions", "bf16", *words])
    return code


class DescribedCase:
    """Stands for a case, of which nothing is computed: 1 GFLOP and 1 kB a picture."""

    flops = 10**9
    pictures = np.zeros((1, 1000), dtype=np.uint8)


def answer(gpu: ModuleType, rate: float = 100.0, agreement: float = 1.0, error: float = 0.0) -> Any:
    return gpu.Result(rate, None, agreement, error)


@pytest.mark.slow
@pytest.mark.parametrize("ways", [("baseline", "eager"), ("graphs",)])
def test_it_runs_on_the_cpu(ways: tuple[str, ...]) -> None:
    words = ["--networks", "spnasnet_100", "--batches", "1", "2", "--precisions", "fp32", "--seconds", "0.01"]
    words += ["--device", "cpu", "--host", "eager", "--ways", *ways]
    ran = subprocess.run([sys.executable, str(BENCHMARKS / "gpu.py"), *words], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines() if line.startswith("spnasnet_100") and "%" in line]
    assert [(row[2], row[3]) for row in rows] == [(batch, way) for batch in "12" for way in ways]
    assert all("100.0%" in row for row in rows)


def test_the_most_telling_points_come_first(gpu: ModuleType) -> None:
    asked = gpu.read_arguments(["--ways", "graphs"])
    points = list(gpu.list_points(asked))
    assert len(points) == len(set(points)) == 5 * 2 * 8
    assert [point.batch for point in points[:4]] == [256, 1024, 64, 1]
    assert {point.network for point in points[:4]} == {"resnet50"} and points[0].precision == "fp16"
    assert {point.network for point in points[4:8]} == set(gpu.NETWORKS[1:])
    assert {point.batch for point in points[4:8]} == {256}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"error": 0.2}, "relative error 0.2 above 0.1"),
        ({"error": np.nan}, "relative error nan"),
        ({"agreement": 0.5}, "top-1 agrees on 50%, not 75%"),
    ],
)
def test_a_wrong_prediction_is_reported_and_fails(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: Any, words: str
) -> None:
    def measure(case: Any, point: Any, *_: object) -> Any:
        return answer(gpu, **(found if point.way == "graphs" else {}))

    assert run_here(gpu, monkeypatch, measure, "--batches", "4") == 1
    printed = capsys.readouterr().out
    assert printed.count(f"WRONG resnet50 bf16 batch 4 graphs {words}") == 2
    assert printed.count("WRONG") == 2 and "compiled" in printed


def test_a_failed_point_costs_no_other(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(case: Any, point: Any, *_: object) -> Any:
        if point.way == "graphs":
            raise ValueError("capture failed")
        return answer(gpu, rate=300.0 if point.way == "compiled" else 100.0)

    assert run_here(gpu, monkeypatch, measure, "--batches", "4") == 1
    printed, traced = capsys.readouterr()
    assert "WRONG resnet50 bf16 batch 4 graphs ValueError: capture failed" in printed and "Traceback" in traced
    assert "resnet50           bf16  4: 3.00\n" in printed


def test_a_column_ends_where_memory_does(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[int] = []

    def measure(case: Any, point: Any, *_: object) -> Any:
        tried.append(point.batch)
        if point.batch >= 256:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answer(gpu)

    assert run_here(gpu, monkeypatch, measure, "--ways", "eager", "--batches", "64", "256", "512", "1024") == 0
    assert tried == [256, 64]
    assert "resnet50 bf16 batch 256 eager does not fit into memory" in capsys.readouterr().out


def test_what_the_budget_leaves_out_is_named(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--ways", "eager", "graphs", "--batches", "1", "2", "--budget-s", "0"]
    assert run_here(gpu, monkeypatch, None, *words) == 0
    left_out = capsys.readouterr().out.split("used up:\n")[1]
    assert left_out == "  resnet50 bf16 eager: batch 1, 2\n  resnet50 bf16 graphs: batch 1, 2\n"
