import inspect
import re
import tempfile
from pathlib import Path

import pytest

from seatrial import errors
from seatrial.cli import run_cli
from seatrial.errors import ExitCode, SeatrialError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
UNRAISED = {ExitCode.PASS, ExitCode.BUG, ExitCode.SPEED}
"""Codes of no error: two of every command, one of a verdict."""


def find_classes() -> dict[str, type[SeatrialError]]:
    found = inspect.getmembers(errors, lambda member: inspect.isclass(member) and issubclass(member, SeatrialError))
    return {name: kind for name, kind in found if kind is not SeatrialError}


def test_every_code_is_that_of_an_error_or_a_verdict() -> None:
    assert {kind.exit_code for kind in find_classes().values()} == set(ExitCode) - UNRAISED


def test_the_tree_at_the_top_names_every_error_under_its_base() -> None:
    drawn = re.findall(r"^([│ ]*)[├└]── (\w+) ", errors.__doc__ or "", re.MULTILINE)
    assert {name for _, name in drawn} == set(find_classes())
    bases: dict[int, str] = {0: "SeatrialError"}
    for indent, name in drawn:
        depth = len(indent) // 4
        bases[depth + 1] = name
        assert find_classes()[name].__bases__[0].__name__ == bases[depth]


def test_the_readmes_table_is_that_of_the_codes() -> None:
    header = README.index("| exit code | meaning |")
    cells = re.findall(r"\| (\d+) \| ([^|]+) ", README[header : README.index("\n\n", header)])
    assert sorted((int(code), meaning) for code, meaning in cells) == [(code, code.meaning) for code in ExitCode]


def test_the_help_explains_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["--help"]) == ExitCode.PASS
    lines = capsys.readouterr().out.partition("Exit codes:\n")[2].strip().splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[str(code.value), code.meaning] for code in ExitCode]


def test_codes_in_help_and_docs_exist() -> None:
    for path in (*ROOT.glob("src/**/*.py"), *ROOT.glob("docs/*.md")):
        for numbers in re.findall(r"exit code ((?:\d+(?:, | or )?)+)", path.read_text(encoding="utf-8")):
            assert {int(number) for number in re.findall(r"\d+", numbers)} <= set(ExitCode), path


@pytest.mark.parametrize(("fix", "text"), [(None, "no such card"), ("see the list", "no such card; see the list")])
def test_an_error_names_the_problem_and_the_fix(fix: str | None, text: str) -> None:
    error = errors.UsageError("no such card", fix)
    assert (str(error), error.problem, error.fix) == (text, "no such card", fix)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n no such node\nand more"), "no such node"),
        (RuntimeError(""), "RuntimeError"),
        (OSError("x" * 300), "x" * 300),
    ],
)
def test_the_first_line_of_an_error_says_something(error: Exception, line: str) -> None:
    assert errors.first_line(error) == line


def test_a_long_reason_is_cut_and_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = errors.first_line(RuntimeError("x " * 400 + "\nand more"))
    (kept,) = tmp_path.iterdir()
    assert said == f"{('x ' * 150).rstrip()} … (all of it in {kept})"
    assert kept.read_text() == "x " * 400 + "\nand more"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert errors.shorten("y" * 301) == "y" * 300 + " …"


def test_a_value_is_quoted_up_to_a_length() -> None:
    assert errors.show_value("x" * 70) == repr("x" * 70)
    assert errors.show_value(["x" * 999]) == "['" + "x" * 78 + "…"
    assert errors.show_value(16**5000) == "a number of int that is too long to show"
    deep: list[object] = []
    for _ in range(9999):
        deep = [deep]
    assert errors.show_value(deep) == "a value that is nested too deep to show"


def test_a_long_problem_is_shortened_and_its_fix_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shown = errors.describe(errors.UsageError("y" * 100_000, "write another"))
    (kept,) = tmp_path.iterdir()
    assert shown == f"{'y' * 300} … (all of it in {kept}); write another"
    assert kept.read_text() == "y" * 100_000
    assert errors.describe(errors.UsageError("y" * 1000)) == "y" * 1000
