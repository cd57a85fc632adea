"""Promise 7: a command killed at any moment is resumed by the same command, gives the same bytes and leaves nothing.

Killed at every call that changes a file below its folder: writes, also by native libraries and then by half, renames,
fsyncs, links, removals. The calls are counted by a library that is loaded before libc (`battery_kill.c`).
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from battery_figures import ALL, SEED, record_figures
from battery_server import Outcome, run_cases
from battery_verbs import SIMPLE, VERBS, link_inputs, link_trial, list_files, run_verb
from tiny_trial import TinyTrial

QUICK = 4
MEMORY = 16 << 30
SOURCE = Path(__file__).parents[1] / "battery_kill.c"
STATE = struct.Struct("qq4096s")
"""Calls so far, the call to die at, the folder; as in `battery_kill.c`."""
MOMENTS = 20
"""Kills of each verb at moments drawn by chance."""
COSTLY = 8
"""Kills at calls that are drawn of a verb that starts processes, which takes seconds."""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@dataclass(frozen=True)
class Case:
    """One command, and when it is killed: at a call, or after a share of the time that it takes."""

    verb: str
    folder: Path
    inputs: Path
    target: int = 0
    share: float = 0.0
    took_s: float = 0.0
    expected: tuple[int, Mapping[str, bytes], frozenset[str]] | None = None
    """Exit code, files, and those of them that differ whenever they are made."""
    twice: bool = False
    """Not killed: another process runs the same command at the same time."""

    def __str__(self) -> str:
        when = f"call {self.target}" if self.target else f"{self.share:.2f} of its time"
        return f"{self.verb} {'twice at a time' if self.twice else f'killed at {when}'}"


@dataclass(frozen=True)
class Clean:
    """What a command does undisturbed."""

    code: int
    files: Mapping[str, bytes]
    calls: int
    seconds: float


def start(case: Case, target: int) -> int:
    """Run the command in a process group of its own, armed; returns its process id."""
    state = case.folder / "state"
    state.write_bytes(STATE.pack(0, target, str(case.folder / "out").encode()))
    os.environ["BATTERY_KILL"] = str(state)  # For the processes that it starts.
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).battery_arm(os.fsencode(state))
            code = run_verb(case.verb, case.folder)
            sys.stderr.flush()
        finally:
            os._exit(code)
    with contextlib.suppress(OSError):  # Whichever of the two is first.
        os.setpgid(pid, pid)
    return pid


def await_end(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_clean(case: Case) -> Clean:
    VERBS[case.verb].prepare(case.folder, case.inputs)
    began = time.perf_counter()
    code = await_end(start(case, 0))
    seconds = time.perf_counter() - began
    calls = STATE.unpack((case.folder / "state").read_bytes())[0]
    return Clean(code, normalise(case), calls, seconds)


def normalise(case: Case) -> dict[str, bytes]:
    """The files of a case, the folder's own name in them replaced by one of the same length."""
    name = os.fsencode(case.folder)
    return {path: data.replace(name, b"@" * len(name)) for path, data in list_files(case.folder / "out").items()}


def kill_case(case: Case) -> str:
    """What is wrong after the command was killed and run again; "-" if it was not killed, as it was done before."""
    VERBS[case.verb].prepare(case.folder, case.inputs)
    pid = start(case, case.target)
    if case.share:
        time.sleep(case.share * case.took_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    other = start(case, 0) if case.twice else None
    code = await_end(pid)
    if other is not None:
        await_end(other)
    elif code != -signal.SIGKILL:
        return "-"
    return compare(case, await_end(start(case, 0)))


def compare(case: Case, code: int) -> str:
    """What is not as it is where nothing is killed."""
    assert case.expected is not None
    expected_code, expected, volatile = case.expected
    found = normalise(case)
    wrong = f"exit code {code}, not {expected_code}; " if code != expected_code else ""
    for what, names in (("left over", found.keys() - expected.keys()), ("missing", expected.keys() - found.keys())):
        names = {name for name in names if name not in volatile}
        wrong += f"{what}: {sorted(names)[:4]}; " if names else ""
    differ = [n for n in expected if n in found and found[n] != expected[n] and n not in volatile]
    return wrong + (f"other bytes: {differ[:4]}" if differ else "")


@pytest.fixture(scope="module")
def simple_inputs(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    link_trial(folder, tiny_trial)
    return folder


@pytest.fixture(scope="module")
def inputs(tiny_trial: TinyTrial, tiny_engines: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    link_inputs(folder, tiny_trial, tiny_engines, tiny_run)
    return folder


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "kill.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Attack:
    """Names for the folders of cases, all of one length, as they may be written into files."""

    inputs: Path
    folder: Path
    environment: Mapping[str, str]

    def run(self, function: Callable[[Case], object], cases: Sequence[Case]) -> list[Outcome]:
        return run_cases(function, cases, 600, MEMORY, self.environment)

    def number(self, cases: Iterator[Case], kind: str) -> list[Case]:
        return [
            Case(**{**vars(case), "folder": self.folder / f"{kind}{number:06d}"}) for number, case in enumerate(cases)
        ]

    def find_clean(self, verbs: Sequence[str]) -> dict[str, tuple[Clean, Case]]:
        """What each verb does undisturbed, and the case that compares with it."""
        cases = self.number((Case(verb, self.folder, self.inputs) for verb in verbs for _ in range(2)), "c")
        outcomes = self.run(run_clean, cases)
        problems = [f"{case.verb}: {o.problem}" for case, o in zip(cases, outcomes, strict=True) if o.problem]
        assert not problems, problems
        found = {}
        for case, (first, second) in zip(cases[::2], zip(outcomes[::2], outcomes[1::2], strict=True), strict=True):
            a, b = first.value, second.value
            assert a.code in (0, 3, 4, 7) and a.calls > 2, (case.verb, a.code, a.calls, first.said)
            volatile = {name for name in {*a.files, *b.files} if a.files.get(name) != b.files.get(name)}
            expected = (a.code, a.files, frozenset(volatile))
            found[case.verb] = a, Case(case.verb, case.folder, self.inputs, took_s=a.seconds, expected=expected)
        return found

    def judge(self, name: str, cases: Sequence[Case], seed: int | None) -> None:
        outcomes = self.run(kill_case, cases)
        wrong = [o.problem or (o.value if o.value != "-" else "") for o in outcomes]
        failures = [f"{case}: {why}" for case, why in zip(cases, wrong, strict=True) if why]
        killed = sum(outcome.value != "-" for outcome in outcomes)
        record_figures(7, name, killed, failures, seed=seed, notes=f"{len({case.verb for case in cases})} verbs")


@pytest.fixture
def simple_attack(simple_inputs: Path, shim: Path, tmp_path: Path) -> Attack:
    return Attack(simple_inputs, tmp_path, {"LD_PRELOAD": str(shim)})


@pytest.fixture
def attack(inputs: Path, shim: Path, tmp_path: Path) -> Attack:
    return Attack(inputs, tmp_path, {"LD_PRELOAD": str(shim)})


def test_a_sample_is_resumed(simple_attack: Attack) -> None:
    attack, rng = simple_attack, random.Random(SEED)
    ((clean, case),) = attack.find_clean([rng.choice(SIMPLE)]).values()
    targets = rng.sample(range(1, clean.calls + 1), min(QUICK, clean.calls))
    attack.judge("sample", attack.number((replace_target(case, target) for target in targets), "k"), SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_any_call_is_resumed(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    ((clean, case),) = attack.find_clean([verb]).values()
    targets = range(1, clean.calls + 1)
    if not ALL:
        most = COSTLY if VERBS[verb].children else max(10, clean.calls // 10)
        targets = rng.sample(targets, min(most, clean.calls))
    cases = attack.number((replace_target(case, target) for target in targets), "k")
    attack.judge(f"calls, {verb}", cases, None if ALL else SEED)


@pytest.mark.battery
@pytest.mark.parametrize("verb", [verb for verb in VERBS if not VERBS[verb].children or ALL])
def test_a_kill_at_any_moment_is_resumed(verb: str, attack: Attack) -> None:
    rng = random.Random(f"{SEED}/{verb}")
    ((_, case),) = attack.find_clean([verb]).values()
    moments = (Case(**{**vars(case), "share": rng.uniform(0.05, 1)}) for _ in range(MOMENTS))
    attack.judge(f"moments, {verb}", attack.number(moments, "m"), SEED)


@pytest.mark.battery
def test_two_at_a_time_leave_one_result(attack: Attack) -> None:
    cheap = [verb for verb in VERBS if not VERBS[verb].children]
    cases = (Case(**{**vars(case), "twice": True}) for _, case in attack.find_clean(cheap).values() for _ in range(5))
    attack.judge("two processes", attack.number(cases, "t"), None)


def replace_target(case: Case, target: int) -> Case:
    return Case(**{**vars(case), "target": target})
