"""Several processes of one training on this machine, started by torch's own launcher; one voice, one exit code."""

import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, TypeVar

from seatrial.errors import Interrupted, LostProcess, SeatrialError
from seatrial.models.build import import_extra
from seatrial.progress import Progress, Update, silent

Result = TypeVar("Result")
Work = Callable[[Progress], Result]

START = "forkserver"
"""All processes are forked from a clean one that has the libraries loaded, which takes seconds for each otherwise."""
PRELOADED = ("torch.distributed.elastic.multiprocessing", "timm", "torchvision.transforms.v2", "pydantic", "psutil")
"""Others' alone: what it is forked from may find another seatrial than this process did."""
STOP_S = 30
"""That processes have to save and leave after a signal; longer than a step should take."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""That torch's launcher takes for itself."""
TALKATIVE = ("torch.distributed.elastic", "torch.multiprocessing")
"""Loggers of torch's launcher, each with a level of its own."""


class Channel(Protocol):
    """What a process may say to the one that started it."""

    def put(self, obj: Any) -> None:
        """Send it."""
        ...

    def get(self) -> Any:
        """Wait for the next."""
        ...


def launch(work: Work[Result], processes: int, progress: Progress = silent) -> Result:
    """Run `work` in so many processes with torchrun's environment; returns what the first one's gave.

    `work` must be picklable. What the first process tells goes to `progress`.

    Raises:
        SeatrialError: what a process raised.
        Interrupted: a signal came; the processes had `STOP_S` to leave.
        LostProcess: a process was killed.
    """
    torch = import_extra("torch")
    context = torch.multiprocessing.get_context(START)
    context.set_forkserver_preload(list(PRELOADED))
    channel = context.SimpleQueue()
    errors: list[SeatrialError | str] = []
    listening = threading.Thread(target=_listen, args=(channel, progress, errors), daemon=True)
    listening.start()
    try:
        import_module("torch.distributed.launcher.api")
        with _kept_handlers(), _quiet(), tempfile.TemporaryDirectory(prefix="seatrial-") as folder:
            return _run(work, processes, channel, folder)
    except _Failed as failed:
        channel.put(None)
        listening.join()
        raise _explain(failed, errors) from None
    finally:
        channel.put(None)
        listening.join()


class _Failed(Exception):
    """Not all processes ended well."""

    def __init__(self, process: int | None, exit_code: int) -> None:
        super().__init__(process, exit_code)
        self.process, self.exit_code = process, exit_code


def _run(work: Work[Result], processes: int, channel: Channel, folder: str) -> Result:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=folder),
        start_method=START,
        shutdown_timeout=STOP_S,
    )
    try:
        results: dict[int, Result] = elastic_launch(config, _work)(work, channel, os.getcwd())
    except ChildFailedError as error:
        process, failure = error.get_first_failure()
        raise _Failed(process, failure.exitcode) from None
    except SignalException:
        raise _Failed(None, Interrupted.exit_code) from None
    return results[0]


def _work(work: Work[Result], channel: Channel, folder: str) -> Result | None:
    """What each process does; leaves with the error's exit code, and says what it was."""
    # What they are forked from may have been started elsewhere.
    os.chdir(folder)
    first = os.environ["RANK"] == "0"
    try:
        result = work(channel.put if first else silent)
        return result if first else None
    except SeatrialError as error:
        channel.put(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(Interrupted.exit_code)
    except Exception:
        channel.put(traceback.format_exc())
        sys.exit(1)


def _listen(channel: Channel, progress: Progress, errors: list[SeatrialError | str]) -> None:
    while (said := channel.get()) is not None:
        if isinstance(said, Update):
            progress(said)
        else:
            errors.append(said)


def _explain(failed: _Failed, errors: list[SeatrialError | str]) -> Exception:
    """What to raise: a process's own words where it had any."""
    if failed.exit_code < 0:
        return LostProcess(
            f"process {failed.process} of the training was killed by {signal.Signals(-failed.exit_code).name}",
            "if memory ran out, take a smaller --batch-size; the same command goes on from the last snapshot",
        )
    # One that only lost another has less to say than that other.
    for error in sorted(errors, key=lambda error: isinstance(error, LostProcess)):
        if isinstance(error, SeatrialError):
            return error
        return RuntimeError(f"process {failed.process} of the training failed\n{error}")
    if failed.exit_code == Interrupted.exit_code:
        return Interrupted("stopped", "the same command goes on where it stopped")
    return RuntimeError(f"process {failed.process} of the training left with {failed.exit_code} and said nothing")


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Put the handlers back that torch's launcher replaces and leaves so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's launcher from telling in twenty lines what we tell in one."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(TALKATIVE)]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
