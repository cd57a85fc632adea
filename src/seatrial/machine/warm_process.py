"""A process of its own that does one job after another, so that what it opened stays open: see `isolated_process`.

A job is a line of JSON on stdin, and so is its result on stdout, or the error that a user can mend.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

from pydantic import BaseModel

from seatrial.closing import Closing
from seatrial.errors import EngineError, SeatrialError
from seatrial.machine.isolated_process import read_error, restrict_memory, write_error
from seatrial.store.json_text import read_model, write_json

GRACE_S = 5.0
Result = TypeVar("Result", bound=BaseModel)


class WarmProcess(Closing):
    """The process that `command` starts; it ends when this is closed, when this process ends, or by itself.

    Several threads may give it jobs: they wait for each other.
    """

    def __init__(self, command: Sequence[str], what: str, on_cpu: bool = True) -> None:
        """Start it.

        Args:
            what: names it in errors, such as "the process of engine torch".
            on_cpu: its memory is the machine's, so it may take no more than is free.
        """
        self._what, self._lock = what, threading.Lock()
        self._late = self._closed = False
        self.done = 0
        """Jobs that were done, or refused."""
        self._chatter: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._chatter,
            env={**os.environ, "SEATRIAL_ON_CPU": str(int(on_cpu))},
        )

    @property
    def is_alive(self) -> bool:
        """Whether it takes jobs."""
        return self._process.poll() is None

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for a job."""
        return self._lock.locked()

    def call(self, job: BaseModel, result: type[Result], limit_s: float) -> Result:
        """Do a job; blocks until it is done, or ends the process when its time is up.

        Raises:
            SeatrialError: of the class that the process raised; it goes on.
            EngineError: it died or took too long, and has ended.
        """
        with self._lock:
            timer = threading.Timer(limit_s, self._end_late)
            timer.start()
            try:
                line = self._exchange(write_json(job).encode() + b"\n")
            finally:
                timer.cancel()
        if not line.endswith(b"\n"):
            raise self._explain(limit_s, line)
        self.done += 1
        try:
            return read_model(result, line)
        except ValueError:
            raise read_error(self._what, 1, line, f"it returned no result but {line[:80]!r}") from None

    def _exchange(self, line: bytes) -> bytes:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except (OSError, ValueError):  # It has ended, or was closed.
            return b""

    def _end_late(self) -> None:
        self._late = True
        self._process.kill()

    def _explain(self, limit_s: float, line: bytes) -> SeatrialError:
        """Why there was no whole line."""
        if self._closed:
            return EngineError(f"{self._what} was ended", "try again")
        # Its stdout is closed, so it is about to end, perhaps still writing why.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self._process.kill()
        code = self._process.wait()
        if self._late:
            return EngineError(f"{self._what} took longer than {limit_s:g} s and was ended", "try a smaller image")
        self._chatter.seek(0)
        return read_error(self._what, code, line, self._chatter.read().decode(errors="replace"))

    def close(self) -> None:
        """End it, whatever it does."""
        self._closed = True
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._chatter):
            # What is left to be written will not be read.
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def serve_jobs(begin: Callable[[], Callable[[Any], str]]) -> int:
    """Do the jobs that come on stdin until it is closed.

    Args:
        begin: is called once, when all is set up, and returns what gets each job and returns its result as JSON.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries print banners to stdout, some of them from C: give them stderr, and keep the channel.
    channel, source = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    # A library may fork, and a fork closes stdin: nobody may be waiting for it then, so jobs are read elsewhere.
    with open(os.devnull, encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 0)
    if os.environ.get("SEATRIAL_ON_CPU") == "1":
        restrict_memory()
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(source, jobs), daemon=True).start()
    with os.fdopen(channel, "w", encoding="utf-8") as output:
        try:
            handle = begin()
            while True:
                try:
                    answer = handle(json.loads(jobs.get()))
                except SeatrialError as error:
                    answer = write_error(error)
                output.write(answer + "\n")
                output.flush()
        except Exception:
            traceback.print_exc()
            return 1


def _read_jobs(source: int, jobs: "queue.SimpleQueue[str]") -> None:
    """Pass jobs on; when whoever gives them has gone, end at once, also in the middle of one."""
    with os.fdopen(source, encoding="utf-8") as lines:
        for line in lines:
            jobs.put(line)
        os._exit(0)
