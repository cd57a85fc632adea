"""The user's code neither ends this process in silence nor leaves it in another state than it was in."""

import os
import sys
from pathlib import Path

import pytest
import torch

from seatrial.models.user_code import LEAVING, Departure, contain, describe_failure


@pytest.mark.parametrize("name", LEAVING)
def test_what_would_end_the_process_raises(name: str) -> None:
    real = getattr(os, name)
    with pytest.raises(Departure) as raised, contain():
        getattr(os, name)("/bin/true", ["true"])
    assert describe_failure(raised.value) == f"it leaves with os.{name}"
    assert getattr(os, name) is real


def test_a_process_that_it_forks_ends_as_it_always_does() -> None:
    with contain():
        process = os.fork()
        if process == 0:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7


def test_folder_search_path_default_dtype_and_stdout_are_as_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path.cwd(), list(sys.path), torch.get_default_dtype()
    with contain():
        os.chdir(tmp_path)
        sys.path.insert(0, str(tmp_path))
        torch.set_default_dtype(torch.float64)
        sys.stdout.write("hello\n")
    assert (Path.cwd(), list(sys.path), torch.get_default_dtype()) == before
    assert capsys.readouterr() == ("", "hello\n")


def test_what_it_raises_is_one_line() -> None:
    assert describe_failure(KeyError("a\nb")).startswith("KeyError: ")
    assert describe_failure(SystemExit(0)) == "it leaves with sys.exit"
