"""Work in a process of its own: native code that crashes or eats the memory takes that process down and nothing else.

A job goes in as JSON on stdin; on stdout comes its result, or `{"error", "problem", "fix"}`, the class and the
fields of an error that a user can mend.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
from pydantic import BaseModel

from seatrial import errors
from seatrial.errors import EngineError, LostProcess, SeatrialError, StorageError, too_many_open
from seatrial.machine.lost_threads import raising_lost_threads
from seatrial.machine.out_of_memory import describe_limit, says_out_of_memory
from seatrial.store.json_text import parse_stored, read_model

# -P: a file called numpy.py in the user's folder is no numpy.
PYTHON = (sys.executable, "-P", "-m")
Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a process may take."""

    processor_s: int
    """Processor time of all its threads together, so that other work on the machine does not count."""
    memory_bytes: int


def call_child(
    command: Sequence[str],
    job: str,
    result: type[Result],
    what: str,
    on_cpu: bool = True,
    limits: ProcessLimits | None = None,
) -> Result:
    """Do `job` in the process that `command` starts, and return its result; the process never outlives this one.

    Args:
        job: as JSON.
        result: the type of the result, which the process writes as JSON.
        what: names the job in errors, such as "the process that measured batch 4".
        on_cpu: the job's memory is the machine's, so the process may take no more than is free.
        limits: of what the process may take besides.

    Raises:
        SeatrialError: of the class that the process raised.
        LostProcess: it died, an `EngineError`; names the signal.
        EngineError: it wrote something else.
    """
    ours = {"SEATRIAL_PARENT": str(os.getpid()), "SEATRIAL_ON_CPU": str(int(on_cpu))}
    if limits is not None:
        ours |= {"SEATRIAL_PROCESSOR_S": str(limits.processor_s), "SEATRIAL_MEMORY_BYTES": str(limits.memory_bytes)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **ours}) as child:
        try:
            output, chatter = child.communicate(job.encode())
        finally:
            child.kill()
    if child.returncode != 0:
        if limits is not None and -child.returncode == signal.SIGXCPU:
            raise LostProcess(f"{what} was stopped after {limits.processor_s} s of processor time")
        raise read_error(what, child.returncode, output, chatter.decode(errors="replace"))
    try:
        return read_model(result, output)
    except ValueError:
        raise EngineError(f"{what} returned no result but {output[:80]!r}") from None


def serve_job(handle: Callable[[Any], str]) -> int:
    """Do the job on stdin; returns the exit code: 0, or the error's."""
    _end_with_parent()
    # Libraries print banners to stdout, some of them from C: give them stderr, and keep the channel.
    channel = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(channel, "w", encoding="utf-8") as output:
        try:
            job = parse_stored(sys.stdin.buffer.read())
            if os.environ.get("SEATRIAL_ON_CPU") == "1":
                restrict_memory(int(os.environ.get("SEATRIAL_MEMORY_BYTES", sys.maxsize)))
            _restrict_time(int(os.environ.get("SEATRIAL_PROCESSOR_S", "0")))
            with raising_lost_threads():
                answer = handle(job)
            output.write(answer)
        except SeatrialError as error:
            output.write(write_error(error))
            return error.exit_code
    return 0


def write_error(error: SeatrialError) -> str:
    """An error as JSON on one line, for `read_error`."""
    return json.dumps({"error": type(error).__name__, "problem": error.problem, "fix": error.fix})


def restrict_memory(most: int = sys.maxsize) -> None:
    """Let this process have no more memory than is free now, and no more than `most` bytes.

    What does not fit ends it, not the machine.
    """
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    free = min(psutil.virtual_memory().available, most)
    soft = free if hard == resource.RLIM_INFINITY else min(free, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _restrict_time(seconds: int) -> None:
    """Let the system end this process after so many seconds of processor time; 0 is no limit."""
    if seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _end_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent dies, however that happens."""
    parent = os.environ.get("SEATRIAL_PARENT")
    if parent is None or not sys.platform.startswith("linux"):
        return
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)


def read_error(what: str, code: int, output: bytes, chatter: str) -> SeatrialError:
    """The error that a process reported, or the signal or last line of one that died."""
    try:
        report = json.loads(output)
        kind: type[SeatrialError] = getattr(errors, report["error"])
        return kind(report["problem"], report["fix"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # It died before it could report.
    if code < 0 and not says_out_of_memory(chatter):
        fix = "memory may have run out: try a smaller batch" if -code == signal.SIGKILL else None
        return LostProcess(f"{what} was killed by {signal.Signals(-code).name}", fix)
    if says_out_of_memory(chatter):
        return StorageError(f"{what} does not fit into memory{describe_limit()}", "give it more, or a smaller batch")
    if code > 0 and os.strerror(errno.EMFILE) in chatter:
        return too_many_open()
    last = next((line.strip() for line in reversed(chatter.splitlines()) if line.strip()), "it wrote no error")
    return LostProcess(f"{what} ended with exit code {code}: {last}")
