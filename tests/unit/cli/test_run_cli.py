import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from seatrial import __version__, errors
from seatrial.cli import app, run_cli
from seatrial.errors import ExitCode, SeatrialError, StorageError
from seatrial.foreign.files import read_bytes
from seatrial.machine.isolated_process import read_error
from seatrial.store.files import describe_os_error

HEAVY = [
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "ray",
    "pydantic",
    "numpy",
    "PIL",
    "pyarrow",
    "scipy",
    "rich.progress",
]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Put an error in: the command line's only verb raises it."""
    planned: list[BaseException] = []

    def make_app() -> typer.Typer:
        made = typer.Typer()

        @made.command()
        def fail() -> None:
            raise planned[0]

        @made.command()
        def other() -> None:
            pass

        return made

    monkeypatch.setattr(app, "make_app", make_app)
    return planned


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the one line on stderr, where nothing is on stdout."""
    code = run_cli(arguments)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("seatrial: ") and shown.err.count("\n") == 1, shown.err
    return code, shown.err.removeprefix("seatrial: ").rstrip()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluat"], "No such command 'evaluat'."),
        (["evaluate", "x", "--image", "y"], "No such option: --image"),
        (["evaluate", "x", "--output", "y"], "evaluate needs --images (A folder, list"),
        (["run"], "run needs recipe (Model reference: "),
        (["run", "x"], "run needs --images (Folder of images), --output (Path of the result); `seatrial run --help`"),
        (["data", "check", "x"], "data check needs --images (Folder of images); `seatrial data check --help` has"),
        (["evaluate", "x", "--images", "y", "--output", "z", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["recipes", "shw"], "No such command 'shw'."),
        (["recipes", "show", "resnet5"], "there is no recipe 'resnet5'; did you mean 'resnet50'?"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = run(arguments, capsys)
    assert code == 2
    assert told in line


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SeatrialError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not SeatrialError])
def test_every_error_leaves_with_its_code_and_one_line(
    kind: type[SeatrialError], raising: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(kind("two\nlines", "one fix"))
    assert run(["fail"], capsys) == (kind.exit_code, "two lines; one fix")


def test_a_stopped_command_says_how_to_go_on(raising: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    raising.append(KeyboardInterrupt())
    assert run(["fail"], capsys) == (130, "stopped; the same command resumes: seatrial fail")


def test_code_that_leaves_is_no_success(raising: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    raising.append(SystemExit(0))
    assert run(["fail"], capsys) == (1, "code that was run leaves with sys.exit before the work is done")
    raising[0].__context__ = BrokenPipeError()  # as typer leaves where nobody reads what it prints
    assert run_cli(["fail"]) == 0


def test_termination_is_an_interruption() -> None:
    assert run_cli(["--version"]) == 0
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_a_full_disk_anywhere_is_a_storage_error_with_the_room_that_it_has(
    raising: list[BaseException], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Path] = []

    def measure(path: Path) -> SimpleNamespace:
        measured.append(path)
        return SimpleNamespace(free=1234)

    monkeypatch.setattr("shutil.disk_usage", measure)
    full = errno.ENOSPC, os.strerror(errno.ENOSPC)
    raising.append(OSError(*full, str(tmp_path / "new" / "a.bin")))
    words = f"no space left to write {tmp_path / 'new' / 'a.bin'} (1,234 bytes free); make room and run again"
    assert run(["fail"], capsys) == (9, words)
    raising[:] = [OSError(*full)]
    assert run(["fail"], capsys) == (9, "no space left to write . (1,234 bytes free); make room and run again")
    assert measured == [tmp_path, Path()]


def test_too_many_open_files_are_a_storage_error_wherever_they_are_met(
    raising: list[BaseException], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    words = f"too many files are open: this process may have {limit:,}; raise it with `ulimit -n 4096`"
    full = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x")
    raising.append(full)
    assert run(["fail"], capsys) == (9, words)
    died = read_error("the process", 1, b"", f"Traceback\nOSError: [Errno 24] {os.strerror(errno.EMFILE)}: 'x'")
    assert str(died) == str(describe_os_error(full, tmp_path)) == words

    def refuse(*_: object) -> int:
        raise full

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match="too many files are open"):
        read_bytes(tmp_path / "x")


@pytest.mark.parametrize("bug", [ZeroDivisionError("ours"), FileNotFoundError(errno.ENOENT, "ours", "x")])
def test_a_bug_of_ours_keeps_its_traceback(bug: Exception, raising: list[BaseException]) -> None:
    raising.append(bug)
    with pytest.raises(type(bug), match="ours"):
        run_cli(["fail"])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["--version"]) == 0
    assert capsys.readouterr().out == f"seatrial {__version__}\n"


def test_no_arguments_show_the_help_as_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Exit codes:\n      0  pass\n      1  a bug of ours\n      2  usage" in shown.err


@pytest.mark.parametrize("arguments", ["--version", "recipes --json"], ids=["little", "much"])
def test_a_reader_that_has_gone_is_no_error(arguments: str) -> None:
    command = f"{sys.executable} -m seatrial {arguments} | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom seatrial.cli import run_cli\ncode = run_cli(['--help'])\n"
        f"loaded = {set(HEAVY)!r} & set(sys.modules)\n"
        "print(code, sorted(loaded), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "0 []\n"
    for verb in ("recipes", "data", "train", "export", "compile", "evaluate", "bench", "report", "run", "demo"):
        assert f"\n  {verb} " in ran.stdout


@pytest.mark.parametrize("mebibytes", [1, 12])
def test_no_memory_to_begin_is_a_line(mebibytes: int) -> None:
    """With so little room Python cannot even import what tells an error, or a library cannot be loaded."""
    script = (
        "import resource, sys\n"
        "from seatrial.cli import run_cli\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"limit = pages * resource.getpagesize() + {mebibytes << 20}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "sys.exit(run_cli(['score', 'logits', 'labels.txt', 'out', 'result.json']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == StorageError.exit_code, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("seatrial: this ") and "ulimit -v" in line


def test_a_thread_that_cannot_be_started_ends_the_command_that_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wait(*_: object, **__: object) -> None:
        def die() -> None:
            raise RuntimeError("can't start new thread")

        threading.Thread(target=die).start()
        Future[None]().result(timeout=20)

    monkeypatch.setattr("seatrial.workflow.board.read_board", wait)
    assert run_cli(["board", "."]) == ExitCode.STORAGE
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("seatrial: this does not fit into memory (can't start new thread")
