import inspect
import re

import pytest

from seatrial import errors
from seatrial.cli.app import HELP
from seatrial.errors import SeatrialError

EXIT_CODES = {
    "UsageError": 2,
    "RunInUse": 2,
    "ParityError": 3,
    "EngineError": 5,
    "LostProcess": 5,
    "DataError": 6,
    "NotComparable": 7,
    "RefusedFile": 8,
    "StorageError": 9,
    "TrainingDiverged": 10,
    "Interrupted": 130,
}
"""As documented for the command line."""


def find_classes() -> dict[str, type[SeatrialError]]:
    found = inspect.getmembers(errors, lambda member: inspect.isclass(member) and issubclass(member, SeatrialError))
    return {name: kind for name, kind in found if kind is not SeatrialError}


def test_every_error_has_its_exit_code() -> None:
    assert {name: kind.exit_code for name, kind in find_classes().items()} == EXIT_CODES


def test_the_tree_at_the_top_names_every_error_with_its_code_under_its_base() -> None:
    drawn = re.findall(r"^([│ ]*)[├└]── (\w+) +(\d+) ", errors.__doc__ or "", re.MULTILINE)
    assert {name: int(code) for _, name, code in drawn} == EXIT_CODES
    bases: dict[int, str] = {0: "SeatrialError"}
    for indent, name, _ in drawn:
        depth = len(indent) // 4
        bases[depth + 1] = name
        assert find_classes()[name].__bases__[0].__name__ == bases[depth]


def test_the_help_lists_every_code() -> None:
    assert {int(code) for code in re.findall(r"\b\d+\b", HELP)} == {0, 1, 4, *EXIT_CODES.values()}


@pytest.mark.parametrize(("fix", "said"), [(None, "no such card"), ("see the list", "no such card; see the list")])
def test_an_error_says_what_is_wrong_and_what_to_do(fix: str | None, said: str) -> None:
    error = errors.UsageError("no such card", fix)
    assert (str(error), error.problem, error.fix) == (said, "no such card", fix)
