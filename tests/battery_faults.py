"""Commands of `battery_verbs` that are killed, or whose calls fail, at any call that changes a file of theirs.

The calls are counted by a library that is loaded before libc (`battery_kill.c`).
"""

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from battery_server import Outcome, Workers
from battery_verbs import VERBS, list_files, run_verb
from battery_zygote import Zygote

MEMORY = 16 << 30
SOURCE = Path(__file__).with_name("battery_kill.c")
STATE = struct.Struct("qqq4096s")
"""Calls so far, the call to die or to fail at, the error to fail with, the folder; as in `battery_kill.c`."""


@dataclass(frozen=True)
class Clean:
    """What a command does undisturbed."""

    code: int
    files: Mapping[str, bytes]
    calls: int
    seconds: float
    volatile: frozenset[str] = frozenset()
    """Files that differ whenever they are made."""


@dataclass(frozen=True)
class Case:
    """One command, and what happens to it."""

    verb: str
    folder: Path
    inputs: Path
    target: int = 0
    """The call that it is killed at, or that fails."""
    error: int = 0
    """What calls fail with from then on; 0: it is killed."""
    share: float = 0.0
    """Of the time that it takes, after which it is killed."""
    twice: bool = False
    """Another process runs the same command at the same time."""
    limit: tuple[int, int] | None = None
    """A limit of the operating system (`resource.RLIMIT_…`) and its value."""
    clean: Clean | None = None

    def __str__(self) -> str:
        if self.limit:
            return f"{self.verb} under limit {self.limit}"
        if self.error:
            return f"{self.verb} with error {os.strerror(self.error)} from call {self.target} on"
        when = f"call {self.target}" if self.target else f"{self.share:.2f} of its time"
        return f"{self.verb} {'twice at a time' if self.twice else f'killed at {when}'}"


def build_library(folder: Path) -> Path:
    """The library that counts calls."""
    library = folder / "kill.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def start(case: Case, undisturbed: bool = False, before: Callable[[], object] | None = None) -> int:
    """Run the command in a process group of its own, its calls counted; returns its process id.

    Args:
        before: called first in that process and in those that it starts.
    """
    state = case.folder / "state"
    target = 0 if undisturbed else case.target
    state.write_bytes(STATE.pack(0, target, case.error, str(case.folder / "out").encode()))
    os.environ["BATTERY_KILL"] = str(state)  # For the processes that it starts.
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).battery_arm(os.fsencode(state))
            restrict = None if undisturbed else before
            Zygote(restrict)
            if restrict is not None:
                restrict()
            code = run_verb(case.verb, case.folder)
            sys.stderr.flush()
        except BaseException as error:
            os.write(2, f"battery: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    with contextlib.suppress(OSError):  # Whichever of the two is first.
        os.setpgid(pid, pid)
    return pid


def await_end(pid: int) -> int:
    """The exit code of a process, or the signal of which it died, below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_clean(case: Case) -> Clean:
    """Run a command undisturbed."""
    VERBS[case.verb].prepare(case.folder, case.inputs)
    began = time.perf_counter()
    code = await_end(start(case, undisturbed=True))
    seconds = time.perf_counter() - began
    calls = STATE.unpack((case.folder / "state").read_bytes())[0]
    return Clean(code, normalise(case), calls, seconds)


def normalise(case: Case) -> dict[str, bytes]:
    """The files of a case, the folder's own name in them replaced by one of the same length."""
    name = os.fsencode(case.folder)
    return {path: data.replace(name, b"@" * len(name)) for path, data in list_files(case.folder / "out").items()}


def compare(case: Case, code: int) -> str:
    """What is not as it is where nothing happens; empty if all is."""
    clean = case.clean
    assert clean is not None
    found, expected = normalise(case), clean.files
    wrong = f"exit code {code}, not {clean.code}; " if code != clean.code else ""
    for what, names in (("left over", found.keys() - expected.keys()), ("missing", expected.keys() - found.keys())):
        names = {name for name in names if name not in clean.volatile}
        wrong += f"{what}: {sorted(names)[:4]}; " if names else ""
    differ = [n for n in expected if n in found and found[n] != expected[n] and n not in clean.volatile]
    return wrong + (f"other bytes: {differ[:4]}" if differ else "")


@dataclass(frozen=True)
class Attack:
    """Runs cases with the library loaded; the names of their folders are of one length, as files may have them."""

    inputs: Path
    folder: Path
    workers: Workers
    """Which have the library."""

    def run(self, function: Callable[[Case], object], cases: Sequence[Case]) -> list[Outcome]:
        return self.workers.run(function, cases, 600, MEMORY)

    def number(self, cases: Iterable[Case], kind: str) -> list[Case]:
        """The cases with a folder for each."""
        return [replace(case, folder=self.folder / f"{kind}{number:06d}") for number, case in enumerate(cases)]

    def find_clean(self, verbs: Sequence[str]) -> list[Case]:
        """A case for each verb that knows what it does undisturbed, by two runs."""
        cases = self.number((Case(verb, self.folder, self.inputs) for verb in verbs for _ in range(2)), "c")
        outcomes = self.run(run_clean, cases)
        problems = [f"{case.verb}: {o.problem}" for case, o in zip(cases, outcomes, strict=True) if o.problem]
        assert not problems, problems
        found = []
        for case, first, second in zip(cases[::2], outcomes[::2], outcomes[1::2], strict=True):
            a, b = first.value, second.value
            assert a.code in (0, 3, 4, 7) and a.calls > 2, (case.verb, a.code, a.calls, first.said)
            volatile = frozenset(name for name in {*a.files, *b.files} if a.files.get(name) != b.files.get(name))
            found.append(replace(case, clean=replace(a, volatile=volatile)))
        return found
