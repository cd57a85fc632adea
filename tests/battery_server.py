"""Thousands of cases, each in a process of its own that is forked from one which has everything imported.

A case that hangs, eats the memory or kills its process harms nothing else.
"""

import contextlib
import gc
import importlib
import importlib.util
import multiprocessing.connection
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import forked_processes
from seatrial.machine import isolated_process

WORKERS = 2
_POLL_S = 0.002
_TESTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case."""

    value: Any = None
    """What the function returned; None if it did not return."""
    error: str = ""
    """The traceback of what it raised."""
    signal: str = ""
    """Of which its process died, such as SIGSEGV."""
    exit_code: int = 0
    """With which its process left in the middle."""
    timed_out: bool = False
    said: str = ""
    """What was written to stdout and stderr, also from C."""
    seconds: float = 0.0

    @property
    def problem(self) -> str:
        """Why there is no value, in a line; empty if there is one."""
        if self.timed_out:
            return f"not done after {self.seconds:.0f} s"
        if self.signal or self.exit_code:
            return f"its process died of {self.signal or f'exit code {self.exit_code}'}: {self.said[-300:]!r}"
        return self.error.strip().splitlines()[-1] if self.error else ""


@dataclass(frozen=True, slots=True)
class _Limits:
    time_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class _Function:
    """A function by name: the process that calls it loads its module."""

    module: str
    path: str
    name: str

    def load(self) -> Callable[[Any], Any]:
        return getattr(_load_module(self.module, self.path), self.name)  # type: ignore[no-any-return]


class Workers:
    """The processes that fork, to be used again and again: what cases import they have then too."""

    def __init__(self, environment: Mapping[str, str] | None = None, preloaded: Sequence[str] = ()) -> None:
        """None is started yet.

        Args:
            environment: what their environment has besides; with it they are started afresh, which takes seconds.
            preloaded: modules that each imports first of all.
        """
        self._environment, self._preloaded = environment or {}, tuple(preloaded)
        self._workers: list[_Worker] = []

    def run(
        self, function: Callable[[Any], Any], cases: Sequence[Any], time_limit_s: float, memory_limit_bytes: int
    ) -> list[Outcome]:
        """As `run_cases`."""
        file = sys.modules[function.__module__].__file__
        assert file is not None and "." not in function.__qualname__, f"{function} is not of a module's top level"
        while len(self._workers) < min(WORKERS, len(cases)):
            self._workers.append(_Worker(self._environment, self._preloaded))
        for worker in self._workers:
            named = _Function(function.__module__, file, function.__qualname__)
            worker.connection.send((named, _Limits(time_limit_s, memory_limit_bytes)))
        return _share_out(cases, self._workers)

    def close(self) -> None:
        """End them, in the middle of a case if need be."""
        while self._workers:
            self._workers.pop().stop()


def run_cases(
    function: Callable[[Any], Any],
    cases: Sequence[Any],
    time_limit_s: float,
    memory_limit_bytes: int,
    environment: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Call `function` with each case in a fork of its own, two at a time; the outcomes are in the order of the cases.

    Args:
        function: of a module's top level; it and the cases reach the other process by pickle.
        time_limit_s: wall time of a case.
        memory_limit_bytes: of the data of a case's process, what was imported before included.
        environment: of `Workers`.
    """
    with contextlib.closing(Workers(environment)) as workers:
        return workers.run(function, cases, time_limit_s, memory_limit_bytes)


class _Worker:
    """The process that forks, seen from the one that has the cases."""

    def __init__(self, environment: Mapping[str, str], preloaded: Sequence[str]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self._child: subprocess.Popen[bytes] | None = None
        if environment:
            command = [sys.executable, "-c", f"import battery_server as b; b._serve_on({theirs.fileno()})"]
            path = os.pathsep.join([str(_TESTS), *filter(None, sys.path)])
            env = {**os.environ, **environment, "PYTHONPATH": path}
            self._child = subprocess.Popen(command, env=env, pass_fds=[theirs.fileno()])
        else:
            self._process = forked_processes.start_fork(_serve, theirs)
        theirs.close()
        self.connection.send(preloaded)

    def stop(self) -> None:
        """End it, in the middle of a case if need be."""
        self.connection.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        else:
            self._process.terminate()
            self._process.join()


def _share_out(cases: Sequence[Any], workers: Sequence[_Worker]) -> list[Outcome]:
    outcomes: list[Outcome | None] = [None] * len(cases)
    waiting = iter(range(len(cases)))
    busy: dict[Connection, int] = {}

    def give(connection: Connection) -> None:
        if (place := next(waiting, None)) is not None:
            connection.send(pickle.dumps(cases[place]))
            busy[connection] = place

    for worker in workers:
        give(worker.connection)
    while busy:
        for connection in multiprocessing.connection.wait(list(busy)):
            assert isinstance(connection, Connection)
            outcomes[busy.pop(connection)] = connection.recv()
            give(connection)
    return [outcome for outcome in outcomes if outcome is not None]


def _serve_on(descriptor: int) -> None:
    _serve(Connection(descriptor))


def _serve(connection: Connection) -> None:
    """Fork for one case after the other until nobody has any more."""
    fork_what_cases_start()
    _import(connection.recv())
    function, limits = None, None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            asked = connection.recv()
            if not isinstance(asked, bytes):
                named, limits = asked
                function = named.load()
                _import([])
                continue
            assert function is not None and limits is not None
            outcome, loaded = _run_in_fork(function, asked, limits)
            connection.send(outcome)
            if loaded:
                _import(loaded)


def _import(names: Sequence[str]) -> None:
    """So that the next case need not."""
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # Collecting garbage in a fork would copy all that it shares.


def fork_what_cases_start() -> None:
    """Processes that forks of this one start by `call_child` are forked too, by the server that runs already."""
    if forkserver._forkserver._forkserver_address is not None:  # type: ignore[attr-defined]
        # It would start another, as only its own process knows that it runs.
        forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
        isolated_process.subprocess = forked_processes  # type: ignore[assignment]


def _run_in_fork(function: Callable[[Any], Any], case: bytes, limits: _Limits) -> tuple[Outcome, list[str]]:
    """What became of a case, and the modules of ours that it imported."""
    with tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            _call(function, case, limits, result.fileno(), said.fileno())
        status = _await(pid, began + limits.time_s)
        seconds = time.perf_counter() - began
        said.seek(0)
        text = said.read().decode(errors="replace")
        if status is None:
            return Outcome(timed_out=True, said=text, seconds=seconds), []
        code = os.waitstatus_to_exitcode(status)
        if code:
            name = signal.Signals(-code).name if code < 0 else ""
            return Outcome(signal=name, exit_code=max(0, code), said=text, seconds=seconds), []
        result.seek(0)
        value, error, loaded = pickle.load(result)
        return Outcome(value, error, said=text, seconds=seconds), loaded


def _await(pid: int, end: float) -> int | None:
    """The status with which a process ended; None if it had to be killed, with all that it started."""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done or time.perf_counter() > end:
            break
        time.sleep(_POLL_S)
    with contextlib.suppress(ProcessLookupError):  # Nothing that it started is left.
        os.killpg(pid, signal.SIGKILL)
    if not done:
        os.waitpid(pid, 0)
    return status if done else None


def _call(function: Callable[[Any], Any], case: bytes, limits: _Limits, result: int, said: int) -> None:
    """Call the function in this fork, store what it returns, and end."""
    code = 1
    try:
        os.setpgid(0, 0)
        for descriptor in (1, 2):
            os.dup2(said, descriptor)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory_bytes, hard))
        value, error, before = None, "", set(sys.modules)
        try:
            value = function(pickle.loads(case))
        except BaseException:
            _lift_limits()
            error = traceback.format_exc()
        _lift_limits()
        loaded = [name for name in sys.modules if name.startswith("seatrial.") and name not in before]
        stored = pickle.dumps((value, error, loaded))
        sys.stdout.flush()
        sys.stderr.flush()
        with os.fdopen(result, "wb", closefd=False) as file:
            file.write(stored)
        code = 0
    finally:
        os._exit(code)


def _lift_limits() -> None:
    """What comes of a case can be stored whatever the case did to its process."""
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def _load_module(name: str, path: str) -> ModuleType:
    """A module of the tests, under the name that pytest gave it; what is pickled knows its classes by that name."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    packages = name.split(".")[:-1]
    for place in range(len(packages)):  # Which pytest makes up too.
        package = ModuleType(".".join(packages[: place + 1]))
        package.__path__ = []
        sys.modules.setdefault(package.__name__, package)
    spec.loader.exec_module(module)
    return module
