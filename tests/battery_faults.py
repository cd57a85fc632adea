"""Commands of `battery_verbs` that are killed, or whose calls fail, at any call that changes a file of theirs.

The calls are counted by a library that is loaded before libc (`battery_kill.c`).
"""

import contextlib
import ctypes
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
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
    state = find_state(case, undisturbed)
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


def find_state(case: Case, undisturbed: bool) -> Path:
    """The file in which a command's calls are counted; two may run at a time."""
    return case.folder / ("state-undisturbed" if undisturbed else "state")


def await_end(pid: int) -> int:
    """The exit code of a process, or the signal of which it died, below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_clean(case: Case) -> Clean:
    """Run a command undisturbed."""
    VERBS[case.verb].prepare(case.folder, case.inputs)
    began = time.perf_counter()
    code = await_end(start(case, undisturbed=True))
    seconds = time.perf_counter() - began
    calls = STATE.unpack(find_state(case, undisturbed=True).read_bytes())[0]
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
    _clean: dict[str, Clean] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def run(self, function: Callable[[Case], object], cases: Sequence[Case]) -> list[Outcome]:
        """What became of cases; their folders are gone then."""
        outcomes = self.workers.run(function, cases, 600, MEMORY)
        for case in cases:
            shutil.rmtree(case.folder, ignore_errors=True)
        return outcomes

    def number(self, cases: Iterable[Case]) -> list[Case]:
        """The cases with a folder for each."""
        return [replace(case, folder=self.folder / f"c{next(self._numbers):07d}") for case in cases]

    def find_clean(self, verb: str) -> Case:
        """A case of a verb that knows what it does undisturbed, by two runs."""
        case = Case(verb, self.folder, self.inputs)
        if verb not in self._clean:
            outcomes = self.run(run_clean, self.number([case, case]))
            assert not any(outcome.problem for outcome in outcomes), (verb, [outcome.problem for outcome in outcomes])
            a, b = (outcome.value for outcome in outcomes)
            assert a.code in (0, 3, 4, 7) and a.calls > 2, (verb, a.code, a.calls, outcomes[0].said)
            # Two runs may by chance take the same milliseconds, which some records state.
            timed = {name for name, data in a.files.items() if b'"times"' in data}
            differ = {name for name in {*a.files, *b.files} if a.files.get(name) != b.files.get(name)}
            self._clean[verb] = replace(a, volatile=frozenset(differ | timed))
        return replace(case, clean=self._clean[verb])
