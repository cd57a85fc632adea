"""`python -m seatrial.testing NAME [--precision P] [--device D]`: the checks of an engine, one line each.

Exit code 0: it keeps every promise; 5: it does not, or cannot be used here; 2: there is no such engine.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from seatrial.engines import get_engine
from seatrial.engines.base import check_usable
from seatrial.errors import ExitCode, SeatrialError
from seatrial.extras import naming_extras

if TYPE_CHECKING:
    from seatrial.testing import CheckResult


def main(words: Sequence[str] | None = None) -> int:
    """Check the engine that the words name; returns the exit code."""
    parser = argparse.ArgumentParser("python -m seatrial.testing", description="Hold an engine to its promises.")
    parser.add_argument("engine", help="its name, as `seatrial doctor` lists it")
    parser.add_argument("--precision", help="default: its first")
    parser.add_argument("--device", help="default: its first")
    given = parser.parse_args(words)
    try:
        # First, as the extra of an engine brings what the checks need too.
        check_usable(get_engine(given.engine).probe())
        return _check(given)
    except SeatrialError as error:
        _write(sys.stderr, f"seatrial: {error}")
        return error.exit_code


@naming_extras()
def _check(given: argparse.Namespace) -> int:
    from seatrial.testing import ContractBroken, check_engine

    try:
        check_engine(given.engine, precision=given.precision, device=given.device, show=_show)
    except ContractBroken as error:
        _write(sys.stderr, str(error).splitlines()[0])
        return ExitCode.ENGINE
    return ExitCode.PASS


def _show(result: "CheckResult") -> None:
    state = "kept  " if result.failure is None else "BROKEN"
    _write(sys.stdout, f"{state}  {result.name}: {result.failure or result.promise}")


def _write(stream: TextIO, text: str) -> None:
    print(text, file=stream, flush=True)


if __name__ == "__main__":
    sys.exit(main())
