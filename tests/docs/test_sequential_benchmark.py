"""benchmarks/sequential.py: that it judges as the package does, keeps its limits, and does not overlook an excess."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from seatrial.evaluation.sequential import judge_look, plan_looks
from seatrial.evaluation.statistics import Paired

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def sequential(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import sequential

    return sequential


@pytest.mark.parametrize("flips", [0.01, 0.03])
def test_many_tables_at_once_are_judged_like_one(sequential: ModuleType, flips: float) -> None:
    looks = plan_looks(1000)
    case = sequential.Case(1000, 0.01, flips, 0.01)
    tables = sequential.draw_tables(case, looks, 12, seed=3)
    for k, look in enumerate(looks):
        lost, gained = tables.lost[:, k], tables.gained[:, k]
        judged = sequential.judge_tables(look.images, lost, gained, case.gate, look.level)
        for losses, gains, passed, failed in zip(lost.tolist(), gained.tolist(), *judged, strict=True):
            expected = "PASS" if passed else "FAIL" if failed else "CONTINUE"
            assert judge_look(Paired(look.images - losses - gains, losses, gains, 0), case.gate, look) == expected


def test_a_run_ends_at_its_first_verdict(sequential: ModuleType) -> None:
    passes = np.array([[False, True, True], [False, False, False], [False, False, True]])
    fails = np.array([[False, False, False], [True, False, False], [False, False, False]])
    ends = sequential.end_runs(passes, fails, plan_looks(300))
    assert ends.images.tolist() == [200, 100, 300]
    assert (ends.passed.tolist(), ends.failed.tolist()) == ([True, False, True], [False, True, False])


def test_flips_are_drawn_as_asked(sequential: ModuleType) -> None:
    looks = plan_looks(5000)
    tables = sequential.draw_tables(sequential.Case(5000, 0.01, 0.03, 0.01), looks, 400, seed=3)
    for k, look in enumerate(looks):
        assert np.mean(tables.lost[:, k]) == pytest.approx(0.02 * look.images, rel=0.1)
        assert np.mean(tables.gained[:, k]) == pytest.approx(0.01 * look.images, rel=0.15)


def test_it_prints_a_line_for_each_case(sequential: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert sequential.main(["--runs", "300", "--totals", "1000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 + 11 + 6 + 1
    assert lines[4].split()[:4] == ["1000", "0.2", "0.2", "gate"]
    assert lines[-1].startswith("the most that ours at every look erred: ")


def test_too_many_errors_fail(sequential: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "judge_ours", sequential.judge_wald)
    assert sequential.main(["--runs", "300", "--totals", "1000"]) == 1
