"""Promise 8: no space, no right to write, no memory and no descriptors are told in one line; nothing half made is left.

Space and rights run out at every call that changes a file; what then fails goes on failing. Limits of the operating
system are set to values drawn by chance.
"""

import errno
import random
import resource
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace

import psutil
import pytest

from battery_faults import Attack, Case, await_end, compare, start
from battery_figures import ALL, SEED, record_figures
from battery_server import Outcome
from battery_verbs import SIMPLE, VERBS
from seatrial.errors import ExitCode

QUICK, DRAWN = 4, 8
"""Cases of a sample, and of each verb."""
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
LIMITS = ("file size", "addresses", "descriptors")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def starve_case(case: Case) -> tuple[int, str]:
    """The exit code, and what is wrong after the same command when there is enough again."""
    VERBS[case.verb].prepare(case.folder, case.inputs)

    def restrict() -> None:
        if case.limit is not None:
            kind, value = case.limit
            if kind == resource.RLIMIT_AS:
                value += psutil.Process().memory_info().vms
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))

    code = await_end(start(case, before=restrict))
    assert case.clean is not None
    # What went well is done again too, as it may have left something over, or charts out; `infer` refuses that.
    done = code == case.clean.code and case.verb == "infer"
    again = code if done else await_end(start(case, undisturbed=True))
    return code, compare(case, again)


def judge_one(case: Case, outcome: Outcome) -> str:
    if outcome.problem:
        return outcome.problem
    assert case.clean is not None
    code, wrong = outcome.value
    # The second command, which nothing disturbs, says what it says without an error too.
    lines = [line for line in outcome.said.splitlines() if line.startswith(("seatrial: ", "Traceback", "battery: "))]
    partly = (ExitCode.INCONCLUSIVE,) if VERBS[case.verb].inconclusive else ()
    if code not in (ExitCode.STORAGE, case.clean.code, *partly):
        return f"exit code {code}: {' / '.join(lines)[:400] or outcome.said[:400]}"
    if code == ExitCode.STORAGE and (len(lines) != 1 or not lines[0].startswith("seatrial: ")):
        return f"{len(lines)} lines: {outcome.said[-400:]}"
    if case.error == errno.ENOSPC and code == ExitCode.STORAGE and "bytes free" not in lines[0]:
        return f"does not say how much is free: {lines[0]}"
    return f"then {wrong}" if wrong else ""


def judge(attack: Attack, name: str, cases: Sequence[Case]) -> None:
    outcomes = attack.run(starve_case, cases)
    wrong = [judge_one(case, outcome) for case, outcome in zip(cases, outcomes, strict=True)]
    failures = [f"{case}: {why}" for case, why in zip(cases, wrong, strict=True) if why]
    record_figures(8, name, len(cases), failures, seed=SEED)


def draw_errors(case: Case, count: int, rng: random.Random) -> Iterator[Case]:
    """Calls that fail, and with what."""
    assert case.clean is not None
    calls = range(1, case.clean.calls + 1)
    for target in calls if ALL else rng.sample(calls, min(count, len(calls))):
        yield replace(case, target=target, error=rng.choice(ERRORS))


def draw_limits(case: Case, count: int, rng: random.Random) -> Iterator[Case]:
    """Limits, some of which suffice; below 8 MiB of addresses Python itself cannot import."""
    assert case.clean is not None
    largest = max(map(len, case.clean.files.values()), default=0) + 100
    for place in range(count):
        kind = LIMITS[place % len(LIMITS)]
        if kind == "file size":
            # What the command says goes into a file too, which this leaves room for.
            yield replace(case, limit=(resource.RLIMIT_FSIZE, 1000 + rng.randrange(largest)))
        elif kind == "addresses":
            yield replace(case, limit=(resource.RLIMIT_AS, int(2 ** rng.uniform(23, 32))))
        else:
            yield replace(case, limit=(resource.RLIMIT_NOFILE, rng.randrange(8, 40)))


def test_a_sample_says_what_ran_out(simple_attack: Attack) -> None:
    rng = random.Random(SEED)
    case = simple_attack.find_clean(rng.choice(SIMPLE))
    judge(simple_attack, "sample", simple_attack.number(draw_errors(case, QUICK, rng)))


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_a_disk_that_takes_no_more_is_told(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    case = attack.find_clean(verb)
    judge(attack, f"disk, {verb}", attack.number(draw_errors(case, DRAWN, rng)))


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_a_limit_is_told(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    case = attack.find_clean(verb)
    judge(attack, f"limits, {verb}", attack.number(draw_limits(case, DRAWN, rng)))
