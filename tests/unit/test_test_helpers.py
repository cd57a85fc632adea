"""What the tests themselves are run with: forked processes, what is made once, a budget for each file, the battery."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from pydantic import RootModel

from battery_figures import record_figures
from battery_server import run_cases
from file_budget import FileBudget
from made_once import make_once
from seatrial.errors import EngineError
from seatrial.machine.isolated_process import PYTHON, call_child

COMPILE = (*PYTHON, "seatrial.engines.compile_process", "nothing")


class Number(RootModel[int]):
    """What a process may give."""


def test_a_file_has_its_budget() -> None:
    budget, file = FileBudget(0.2), Path("test_slow.py")
    budget.begin(file)
    assert budget.find_excess() is None
    end = time.process_time() + 0.3
    while time.process_time() < end:
        budget.begin(file)
    assert "of processor time, SEATRIAL_TEST_FILE_CPU_S allows 0.2" in str(budget.find_excess())
    budget.begin(file)
    assert budget.find_excess() is None


def test_one_process_makes_what_all_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = [make_once("folder of test_test_helpers", tmp_path_factory, Path.mkdir) for _ in range(2)]
    assert made[0] == made[1] and made[0].is_dir()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_forked_process_fails_as_a_fresh_one(fresh: bool, request: pytest.FixtureRequest) -> None:
    if fresh:
        request.getfixturevalue("fresh_processes")
    with pytest.raises(EngineError, match=r"the process ended with exit code 1: .*(Error|Unparsable): "):
        call_child(COMPILE, "no JSON", Number, "the process")


def test_other_commands_are_no_forks() -> None:
    assert call_child((sys.executable, "-c", "print(6 * 7)"), "", Number, "the process").root == 42


def act(case: str) -> str:
    """What a case of the battery may do."""
    if case == "raise":
        raise ValueError("for a reason")
    if case == "kill":
        os.kill(os.getpid(), signal.SIGSEGV)
    if case == "hang":
        while True:
            time.sleep(1)
    if case == "leave":
        os._exit(7)
    if case == "eat":
        return str(len(bytearray(1 << 34)))
    os.write(1, f"{case} is said".encode())
    return case.upper()


def test_cases_of_the_battery_harm_only_themselves() -> None:
    cases = ["a", "raise", "kill", "hang", "leave", "eat", "b"]
    outcomes = run_cases(act, cases, 2, 4 << 30)
    assert [outcome.value for outcome in outcomes] == ["A", None, None, None, None, None, "B"]
    assert outcomes[0].said == "a is said" and not outcomes[0].problem
    problems = [
        "ValueError: for a reason",
        "died of SIGSEGV",
        "not done after 2 s",
        "died of exit code 7",
        "MemoryError",
    ]
    for outcome, problem in zip(outcomes[1:-1], problems, strict=True):
        assert problem in outcome.problem


def test_what_the_battery_counted_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_BATTERY_FIGURES", str(tmp_path / "figures.jsonl"))
    record_figures(3, "sound", 40, [], seed=7, notes="none")
    with pytest.raises(pytest.fail.Exception, match=r"promise 3, broken: 6 of 9 failed, seed 7:\n0\n1\n2\n3\n4$"):
        record_figures(3, "broken", 9, [str(number) for number in range(6)], seed=7)
    with pytest.raises(AssertionError, match="nothing was tried"):
        record_figures(3, "empty", 0, [])
    lines = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert [(line["name"], line["cases"], line["failed"], line["seed"]) for line in lines[:2]] == [
        ("sound", 40, 0, 7),
        ("broken", 9, 6, 7),
    ]
