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
from battery_verbs import SIMPLE, VERBS

QUICK = 4
MOMENTS = 20
"""Kills of each verb at moments drawn by chance."""
COSTLY = 8
"""Kills at calls that are drawn of a verb that starts processes, which takes seconds."""

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
    other = start(case, undisturbed=True) if case.twice else None
    code = await_end(pid)
    if other is not None:
        await_end(other)
    elif code != -signal.SIGKILL:
        return "-"
    return compare(case, await_end(start(case, undisturbed=True)))


def judge(attack: Attack, name: str, cases: Sequence[Case], seed: int | None) -> None:
    outcomes = attack.run(kill_case, cases)
    wrong = [outcome.problem or outcome.value for outcome in outcomes]
    failures = [f"{case}: {why}" for case, why in zip(cases, wrong, strict=True) if why not in ("", "-")]
    record_figures(7, name, sum(why != "-" for why in wrong), failures, seed=seed)


def test_a_sample_is_resumed(simple_attack: Attack) -> None:
    rng = random.Random(SEED)
    (case,) = simple_attack.find_clean([rng.choice(SIMPLE)])
    assert case.clean is not None
    targets = rng.sample(range(1, case.clean.calls + 1), min(QUICK, case.clean.calls))
    cases = simple_attack.number((replace(case, target=target) for target in targets), "k")
    judge(simple_attack, "sample", cases, SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_any_call_is_resumed(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    (case,) = attack.find_clean([verb])
    assert case.clean is not None
    targets: Sequence[int] = range(1, case.clean.calls + 1)
    if not ALL:
        most = COSTLY if VERBS[verb].children else max(10, case.clean.calls // 10)
        targets = rng.sample(targets, min(most, case.clean.calls))
    cases = attack.number((replace(case, target=target) for target in targets), "k")
    judge(attack, f"calls, {verb}", cases, None if ALL else SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", [verb for verb in VERBS if not VERBS[verb].children or ALL])
def test_a_kill_at_any_moment_is_resumed(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    (case,) = attack.find_clean([verb])
    cases = attack.number((replace(case, share=rng.uniform(0.05, 1)) for _ in range(MOMENTS)), "m")
    judge(attack, f"moments, {verb}", cases, SEED)


@pytest.mark.battery
def test_two_at_a_time_leave_one_result(attack: Attack) -> None:
    cheap = [verb for verb in VERBS if not VERBS[verb].children]
    cases = (replace(case, twice=True) for case in attack.find_clean(cheap) for _ in range(5))
    judge(attack, "two processes", attack.number(cases, "t"), None)
