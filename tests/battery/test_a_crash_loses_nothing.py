"""Promise 7: a command killed at any moment is resumed by the same command, gives the same bytes and leaves nothing.

Killed at every call that changes a file below its folder: writes, also by native libraries and then by half, renames,
fsyncs, links, removals.
"""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from battery_faults import Attack, Case, await_end, compare, start
from battery_figures import ALL, SEED, record_figures
from battery_server import Outcome
from battery_verbs import SIMPLE, VERBS
from seatrial.errors import RunInUse

QUICK = 4
MOMENTS = 20
"""Kills of each verb at moments drawn by chance."""
LEAST, SHARE = 10, 10
"""Of a verb's calls one in so many is drawn to be killed at, at least so many."""
TWICE = 3
"""Pairs of processes of each verb."""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def kill_case(case: Case) -> str:
    """What is wrong after the command was killed and run again; "-" if it was not killed, as it was done before."""
    VERBS[case.verb].prepare(case.folder, case.inputs)
    pid = start(case)
    if case.share:
        assert case.clean is not None
        time.sleep(case.share * case.clean.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    if await_end(pid) != -signal.SIGKILL:
        return "-"
    return compare(case, await_end(start(case, undisturbed=True)))


def run_twice(case: Case) -> str:
    """What is wrong after two processes ran the command at a time."""
    VERBS[case.verb].prepare(case.folder, case.inputs)
    assert case.clean is not None
    codes = [await_end(pid) for pid in (start(case), start(case, undisturbed=True))]
    if case.clean.code not in codes or not {*codes} <= {case.clean.code, RunInUse.exit_code}:
        return f"exit codes {codes}"
    return compare(case, case.clean.code)


def judge_pair(outcome: Outcome) -> str:
    """What is wrong, also with what the process says that did not wait."""
    lines = [line for line in outcome.said.splitlines() if line.startswith(("seatrial: ", "Traceback", "battery: "))]
    refused = [line for line in lines if "another process" not in line and "is there already" not in line]
    return outcome.problem or outcome.value or (f"says {refused[0]}" if refused else "")


def judge(attack: Attack, name: str, cases: Sequence[Case], seed: int | None) -> None:
    outcomes = attack.run(kill_case, cases)
    wrong = [outcome.problem or outcome.value for outcome in outcomes]
    failures = [f"{case}: {why}" for case, why in zip(cases, wrong, strict=True) if why not in ("", "-")]
    record_figures(7, name, sum(why != "-" for why in wrong), failures, seed=seed)


def test_a_sample_is_resumed(simple_attack: Attack) -> None:
    rng = random.Random(SEED)
    case = simple_attack.find_clean(rng.choice(SIMPLE))
    assert case.clean is not None
    targets = rng.sample(range(1, case.clean.calls + 1), min(QUICK, case.clean.calls))
    judge(simple_attack, "sample", simple_attack.number(replace(case, target=target) for target in targets), SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_any_call_is_resumed(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    case = attack.find_clean(verb)
    assert case.clean is not None
    targets: Sequence[int] = range(1, case.clean.calls + 1)
    if not ALL:
        targets = rng.sample(targets, min(max(LEAST, case.clean.calls // SHARE), case.clean.calls))
    cases = attack.number(replace(case, target=target) for target in targets)
    judge(attack, f"calls, {verb}", cases, None if ALL else SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_any_moment_is_resumed(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    case = attack.find_clean(verb)
    cases = attack.number(replace(case, share=rng.uniform(0.05, 1)) for _ in range(MOMENTS))
    judge(attack, f"moments, {verb}", cases, SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_two_at_a_time_leave_one_result(verb: str, attack: Attack) -> None:
    cases = attack.number([replace(attack.find_clean(verb), twice=True)] * TWICE)
    wrong = [judge_pair(outcome) for outcome in attack.run(run_twice, cases)]
    failures = [f"{case}: {why}" for case, why in zip(cases, wrong, strict=True) if why]
    record_figures(7, f"two processes, {verb}", len(cases), failures)
