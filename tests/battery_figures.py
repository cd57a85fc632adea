"""What the battery counted: how many cases of a promise were tried, and how many broke it."""

import json
import os
import time
from collections.abc import Sequence

import pytest

VARIABLE = "SEATRIAL_BATTERY_FIGURES"
"""Names the file that figures are appended to, a JSON object a line."""
SEED = int(os.environ.get("SEATRIAL_BATTERY_SEED", "1"))
"""Of whatever the battery draws by chance."""
ALL = os.environ.get("SEATRIAL_BATTERY_ALL") == "1"
"""Whether what is too long even for the battery is done in full, not a random tenth of it."""
_SHOWN = 5
_began_s = time.perf_counter()


def note_begin() -> None:
    """Note that a test begins, whose figures tell how long it took."""
    global _began_s
    _began_s = time.perf_counter()


def record_figures(
    promise: int, name: str, cases: int, failures: Sequence[str], *, seed: int | None = None, notes: str = ""
) -> None:
    """Append the figures of one test to the file that the environment names, if it does; fail if a case failed.

    Args:
        promise: its number in docs/promises.md.
        name: of what was tried, unique within the promise.
        failures: a line for each case that broke the promise.
        seed: what chose the cases, if chance did.
    """
    figures: dict[str, object] = {"promise": promise, "name": name, "cases": cases, "failed": len(failures)}
    figures |= {"seconds": round(time.perf_counter() - _began_s, 1), "seed": seed, "notes": notes}
    figures |= {"first": list(failures[:_SHOWN])} if failures else {}
    if path := os.environ.get(VARIABLE):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(figures, ensure_ascii=False)}\n")
    assert cases, f"promise {promise}, {name}: nothing was tried"
    if failures:
        first = "\n".join(failures[:_SHOWN])
        drawn = "" if seed is None else f", seed {seed}"
        pytest.fail(f"promise {promise}, {name}: {len(failures)} of {cases} failed{drawn}:\n{first}", pytrace=False)
