import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pydantic import RootModel

from seatrial import errors
from seatrial.errors import DataError, EngineError, SeatrialError
from seatrial.machine.isolated_process import call_child


class Text(RootModel[str]):
    """The result of the processes below."""


SERVE = """
import json, sys
from seatrial.machine.isolated_process import serve_job
from seatrial.errors import *
def handle(job):
    print("a banner"); sys.stdout.flush()
    {body}
sys.exit(serve_job(lambda job: json.dumps(handle(job))))
"""


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SeatrialError)]


def call(body: str, job: object = 0, on_cpu: bool = True) -> str:
    command = (sys.executable, "-c", SERVE.format(body=body))
    return call_child(command, json.dumps(job), Text, "the process that tried", on_cpu=on_cpu).root


def test_a_result_comes_back_without_the_banners() -> None:
    assert call("return str(job['a'] + 1)", {"a": 41}) == "42"


def test_a_users_error_keeps_its_kind_and_its_fix() -> None:
    with pytest.raises(DataError, match=r"^no images; bring some$") as caught:
        call("raise DataError('no images', 'bring some')")
    assert caught.value.fix == "bring some"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_keeps_its_class(kind: type[SeatrialError]) -> None:
    """As it reads them; how they are written does not depend on the class."""
    report = json.dumps({"error": kind.__name__, "problem": "a problem", "fix": "a fix"})
    command = ("bash", "-c", f"echo '{report}'; exit 1")
    with pytest.raises(kind, match=r"^a problem; a fix$") as caught:
        call_child(command, "0", Text, "the process that tried")
    assert type(caught.value) is kind


def test_a_crash_of_native_code_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"^the process that tried was killed by SIGSEGV$"):
        call("import ctypes; ctypes.string_at(0)")


def test_a_bug_shows_its_last_line() -> None:
    with pytest.raises(EngineError, match="the process that tried ended with exit code 1: ZeroDivisionError"):
        call("return str(1 / job)")


def test_another_result_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"^the process that tried returned no result but b'41'$"):
        call("return 41")


def test_memory_is_bounded_by_what_is_free_where_it_is_the_machines() -> None:
    body = "import resource; return str(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    assert 0 < int(call(body)) <= psutil.virtual_memory().total
    hard = psutil.Process().rlimit(psutil.RLIMIT_DATA)[1]
    assert int(call(body, on_cpu=False)) == hard


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    body = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid())); __import__('time').sleep(60)"
    parent = (
        "import sys; from pydantic import BaseModel; from seatrial.machine.isolated_process import call_child\n"
        f"call_child((sys.executable, '-c', {SERVE.format(body=body)!r}), '0', BaseModel, 'it')"
    )
    with subprocess.Popen((sys.executable, "-c", parent)) as started:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert started.poll() is None
        os.kill(started.pid, signal.SIGKILL)
    child = int((tmp_path / "pid").read_text())
    assert psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)[1] == []
