"""benchmarks/bench_statistics.py and bench.py: that they run, and that the first does not overlook a bad interval."""

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from seatrial.metrics import rate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def statistics(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_statistics

    return bench_statistics


def test_samples_are_drawn_as_asked(statistics: ModuleType) -> None:
    rng = np.random.default_rng(1)
    drawn = np.stack([statistics.draw(statistics.Machine(5, 0.05, 0.02, 0.5), rng) for _ in range(400)])
    assert drawn.shape == (400, 5, statistics.SAMPLES)
    assert drawn.mean() == pytest.approx(statistics.TRUTH_MS, rel=0.005)
    assert np.log(drawn.mean(axis=2)).std() == pytest.approx(0.0525, rel=0.1)
    smooth = statistics.draw(statistics.Machine(50, 0.0, 0.001, 0.9), rng)
    quiet = np.log(np.where(smooth > 20, np.nan, smooth))
    before, after = quiet[:, :-1].ravel(), quiet[:, 1:].ravel()
    both = ~np.isnan(before + after)
    assert np.corrcoef(before[both], after[both])[0, 1] == pytest.approx(0.9, abs=0.03)


def test_it_prints_a_line_for_each_machine(statistics: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    statistics.main(["--runs", "4", "--resamples", "20"])
    lines = capsys.readouterr().out.splitlines()
    # Two tables, each with two lines above and a summary, and a blank line between.
    assert len(lines) == 3 + len(statistics.MACHINES) + 1 + 3 + len(statistics.SHARED_NOISE)
    assert lines[2].split()[:4] == ["5", "0.0%", "5.0%", "0.00"]


def test_an_interval_that_is_too_narrow_fails(statistics: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "CONFIDENCE", 0.8)
    assert statistics.main(["--runs", "150", "--resamples", "2"]) == 1


def test_what_measuring_costs_is_printed(
    tiny_engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench

    shutil.copytree(tiny_engines / "engines" / "onnxruntime", tmp_path / "e")
    tiny = ["--batch-size", "1", "--seconds", "0.01", "--repeats", "1", "--pairs", "1", "--processes", "2"]
    bench.main([str(tmp_path / "e"), *tiny])
    shown = capsys.readouterr().out
    for words_shown in ("µs a call that does nothing", "median ms, ours/a bare loop:", "of 1 pairs differ", "CV: "):
        assert words_shown in shown
