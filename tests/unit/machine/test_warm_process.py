"""A process that does one job after another, and whatever may become of it."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from pydantic import BaseModel

from seatrial.errors import DataError, EngineError
from seatrial.machine.warm_process import WarmProcess

SERVE = """
import json, os, sys, time
from seatrial.machine.warm_process import serve_jobs
from seatrial.errors import *
seen = []
def handle(job):
    print("a banner"); sys.stdout.flush(); os.system("echo another")
    seen.append(job["text"])
    exec(job["text"])
    return json.dumps({"text": " ".join(seen)})
sys.exit(serve_jobs(lambda: handle))
"""


class Text(BaseModel):
    """Both the job, which is run as Python, and the result: all jobs so far."""

    text: str


@pytest.fixture
def process() -> Iterator[WarmProcess]:
    with WarmProcess((sys.executable, "-c", SERVE), "the process that tried") as process:
        yield process


def do(process: WarmProcess, text: str, limit_s: float = 60.0) -> str:
    return process.call(Text(text=text), Text, limit_s).text


def test_it_goes_on_from_job_to_job(process: WarmProcess) -> None:
    assert process.done == 0
    assert [do(process, "1"), do(process, "2+2"), do(process, "'ä\\n'")] == ["1", "1 2+2", "1 2+2 'ä\\n'"]


def test_whoever_waits_while_it_is_closed_learns_that_it_was_ended(process: WarmProcess) -> None:
    do(process, "1")
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(do, process, "time.sleep(600)") for _ in range(2)]
        while not process.is_busy:
            time.sleep(0.01)
        process.close()
        for each in waiting:
            with pytest.raises(EngineError, match=r"^the process that tried was ended; try again$"):
                each.result(60)
    assert not process.is_busy


def test_a_users_error_is_raised_here_and_the_process_goes_on(process: WarmProcess) -> None:
    with pytest.raises(DataError, match=r"^no image; bring one$") as caught:
        do(process, "raise DataError('no image', 'bring one')")
    assert caught.value.fix == "bring one"
    assert do(process, "2").endswith(" 2") and process.is_alive and process.done == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("os.kill(os.getpid(), 11)", "the process that tried was killed by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL; memory may have run out"),
        ("1/0", "ended with exit code 1: ZeroDivisionError: division by zero"),
        ("os._exit(0)", "ended with exit code 0"),
        ("os._exit(3)", "ended with exit code 3"),
    ],
)
def test_one_that_dies_is_an_error(process: WarmProcess, text: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        do(process, text)
    assert not process.is_alive
    with pytest.raises(EngineError):
        do(process, "1")


def test_one_that_takes_too_long_is_ended(process: WarmProcess) -> None:
    assert do(process, "1") == "1"
    with pytest.raises(EngineError, match=r"took longer than 0.3 s and was ended"):
        do(process, "time.sleep(60)", limit_s=0.3)
    assert not process.is_alive


def test_ctrl_c_is_not_for_it(process: WarmProcess) -> None:
    do(process, "1")
    os.kill(process._process.pid, signal.SIGINT)
    assert do(process, "2") == "1 2"


def test_it_ends_in_the_middle_of_a_job_when_nobody_is_left(process: WarmProcess) -> None:
    do(process, "1")
    pipe = process._process.stdin
    assert pipe is not None
    pipe.write(Text(text="time.sleep(60)").model_dump_json().encode() + b"\n")
    # What happens to the pipe of a process that is killed.
    pipe.close()
    begun = time.monotonic()
    assert process._process.wait(30) == 0 and time.monotonic() - begun < 30


def test_closing_ends_it_at_once(process: WarmProcess) -> None:
    pid = process._process.pid
    process.close()
    process.close()
    assert not psutil.pid_exists(pid)


FORK = """
import multiprocessing
fork = multiprocessing.get_context("fork").Process(target=int)
fork.start()
fork.join(5)
code = fork.exitcode
fork.kill()
assert code == 0, f"the fork hangs: {code}"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is forked by default")
def test_a_library_that_forks_does_not_leave_a_process_behind(process: WarmProcess) -> None:
    """OpenVINO does so when it is imported; a fork closes stdin, which must not be locked by who waits for jobs."""
    assert do(process, FORK) == FORK
