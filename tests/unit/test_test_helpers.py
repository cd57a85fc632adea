"""What the tests themselves are run with: processes that are forked, what is made once, a budget for each file."""

import sys
import time
from pathlib import Path

import pytest
from pydantic import RootModel

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
