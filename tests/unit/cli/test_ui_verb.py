"""The command: one line with the address, this machine alone, Ctrl-C."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest

import seatrial.ui
from seatrial.cli import run_cli
from seatrial.cli import ui as verb
from seatrial.machine.isolated_process import PYTHON
from seatrial.ui.listen import open_socket


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_address_serves_there_alone_and_ends_like_other_commands(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [*PYTHON, "seatrial", "ui", str(tmp_path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"(http://127\.0\.0\.1:(\d+)/)\?token=([\w-]{43})\n", line)
            assert found is not None, line
            listening = [
                each.laddr for each in psutil.Process(process.pid).net_connections() if each.status == "LISTEN"
            ]
            assert listening == [("127.0.0.1", int(found[2]))]
            with httpx2.Client() as client:
                assert client.get(found[1]).status_code == 401
                assert client.get(line.strip()).status_code == 200
                assert "There is no run in this folder yet" in client.get(found[1]).text
            process.send_signal(number)
            assert process.wait(20) == 130
            assert process.stdout.read() == ""
            assert process.stderr.read() == "seatrial: stopped; the page is closed\n"
        finally:
            process.kill()


def test_it_ends_in_one_line_while_an_image_is_on_its_way(tmp_path: Path, tiny_run: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "tiny")
    begun = tmp_path / "begun"
    # An engine that takes its time: the process in its place never returns.
    (tmp_path / "slow.py").write_text(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)\n")
    program = (
        "import sys; from seatrial.ui import engine_processes\n"
        f"engine_processes.PREDICT = (sys.executable, {str(tmp_path / 'slow.py')!r})\n"
        "from seatrial.cli import run_cli; sys.exit(run_cli(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "ui", str(tmp_path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            address = process.stdout.readline().strip()
            home = address.partition("/?")[0]
            with httpx2.Client(headers={"Origin": home}, timeout=60) as client, ThreadPoolExecutor() as pool:
                assert client.get(address).status_code == 200
                page = f"{home}/image/engine?run={run.name}&engine=onnxruntime&name=x"
                sent = [pool.submit(client.post, page, content=b"\xff\xd8") for _ in range(3)]
                while not begun.exists():
                    time.sleep(0.05)
                children = psutil.Process(process.pid).children()
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
                for each in sent:
                    each.exception()  # Answered or not, it is over.
            assert process.stderr.read() == "seatrial: stopped; the page is closed\n"
            assert children and psutil.wait_procs(children, 10)[1] == []
        finally:
            process.kill()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_cli(["ui", str(tmp_path), "--no-browser", "--port", str(port)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and len(shown.err.splitlines()) == 1
    assert f"--port {port} cannot be used (Address already in use); give another one" in shown.err


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["ui", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_without_the_extra_it_is_named(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The package that is imported anew becomes an attribute of seatrial; the old one comes back with its modules.
    monkeypatch.setattr(seatrial, "ui", seatrial.ui)
    for name in [name for name in sys.modules if name.startswith(("seatrial.ui", module))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert run_cli(["ui", str(tmp_path)]) == 5
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"seatrial: {module} is not installed; pip install 'seatrial[ui]'\n"


def test_a_port_that_was_just_left_can_be_taken_again() -> None:
    first = open_socket(0)
    port = first.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        accepted, _ = first.accept()
        accepted.close()
    first.close()
    open_socket(port).close()


@pytest.mark.parametrize(("variable", "opened"), [("DISPLAY", 1), ("WAYLAND_DISPLAY", 1), ("OTHER", 0)])
@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="there is always a screen")
def test_a_browser_is_opened_where_there_is_a_screen(
    variable: str, opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, ":0")
    verb._open_browser("http://127.0.0.1:1/?token=x")
    assert len(addresses) == opened
    assert os.environ[variable] == ":0"
