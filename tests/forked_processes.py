"""Processes of ours, forked from one that has the libraries loaded, which takes seconds for each otherwise.

It stands for the modules `subprocess` and `multiprocessing` where ours start processes.
"""

import importlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import seatrial
from seatrial.machine.isolated_process import PYTHON

PRELOADED = (
    "torch.distributed.elastic.multiprocessing",
    "timm",
    "torchvision.transforms.v2",
    "safetensors.torch",
    "scipy.special",
    "onnx",
    "tabulate",
    "seatrial.bench.inputs",
    "seatrial.bench.output_checks",
    "seatrial.bench.timed_work",
    "seatrial.engines.self_test",
)
"""None of them starts a thread, of which a fork would know nothing."""
PIPE = subprocess.PIPE


def Popen(command: Sequence[str], env: Mapping[str, str], **pipes: int) -> Any:
    """As `machine.isolated_process` uses `subprocess.Popen`: a module of ours runs in a fork, all else as usual.

    Also a process whose threads are limited runs as usual: libraries read their number when they are loaded.
    """
    if is_ours(command, env):
        return _Forked(command[len(PYTHON) :], env)
    return subprocess.Popen(command, env=env, **pipes)


def is_ours(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a command runs a module of ours that a fork can run."""
    return tuple(command[: len(PYTHON)]) == PYTHON and env.get("OMP_NUM_THREADS") == os.environ.get("OMP_NUM_THREADS")


def get_context(method: str) -> ForkServerContext:
    """As those who start decoding processes use `multiprocessing.get_context`; theirs are spawned elsewhere."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def start_fork(target: Callable[..., object], *arguments: object) -> BaseProcess:
    """Call a function, which a new process finds by name, in a fork of the one that has the libraries loaded."""
    process: BaseProcess = get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    return process


class _Forked:
    """A forked process; what goes through pipes elsewhere goes through files here."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._command, self._env = list(command), dict(env)
        self._folder = tempfile.TemporaryDirectory(prefix="forked-", ignore_cleanup_errors=True)
        self._process: BaseProcess | None = None

    def __enter__(self) -> "_Forked":
        self._folder.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._process is not None:
            self._process.join()
        self._folder.__exit__(*raised)

    def communicate(self, text: bytes) -> tuple[bytes, bytes]:
        folder = Path(self._folder.name)
        for name, content in (("0", text), ("1", b""), ("2", b"")):
            (folder / name).write_bytes(content)
        home = str(Path(seatrial.__file__).parent)
        self._process = start_fork(_run, self._command, self._env, os.getcwd(), folder, home)
        self._process.join()
        return (folder / "1").read_bytes(), (folder / "2").read_bytes()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    @property
    def returncode(self) -> int:
        assert self._process is not None and self._process.exitcode is not None
        return self._process.exitcode


def _run(command: list[str], env: dict[str, str], folder: str, pipes: Path, home: str) -> None:
    """What `python -m` does with `command`, in this process."""
    for number in range(3):
        os.dup2(os.open(pipes / str(number), os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND), number)
    if str(Path(seatrial.__file__).parent) != home:
        raise RuntimeError(f"forked with {seatrial.__file__}, and {home} is tested: set PYTHONPATH")
    os.chdir(folder)
    _import_from([Path(entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry])
    run_module(command, env, folder)


def run_module(command: list[str], env: Mapping[str, str], folder: str) -> None:
    """What `python -m` does with `command`, in this process, whose standard streams are the command's."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    # The process that this one was forked from is its parent, and ends with the tests.
    os.environ["SEATRIAL_PARENT"] = str(os.getppid())
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _import_from(folders: list[Path]) -> None:
    """Import from `folders` first, also what the process that this one was forked from has loaded from elsewhere."""
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    homes: dict[str, str] = {}
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            homes.setdefault(path.stem, f"{folder}{os.sep}")
    loaded = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    tops = {name: name.partition(".")[0] for name in loaded}
    other = {tops[n] for n, file in loaded.items() if file and not file.startswith(homes.get(tops[n], file))}
    for name in [name for name in loaded if tops[name] in other]:
        del sys.modules[name]
