"""Starts the processes of a training on this machine with torch's launcher; they end with one error and exit code."""

import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeVar

from seatrial.errors import Interrupted, LostProcess, SeatrialError
from seatrial.models.build import import_extra
from seatrial.progress import Progress, Update, silent

Result = TypeVar("Result")
Entrypoint = Callable[[Progress], Result]

START = "forkserver"
"""All processes are forked from a clean one that has the libraries loaded; loading them takes seconds."""
PRELOADED = ("torch.distributed.elastic.multiprocessing", "timm", "torchvision.transforms.v2", "pydantic", "psutil")
"""Not seatrial itself: the process that they are forked from may find another one than this process did."""
STOP_S = 30
"""Time that processes have to save and exit after a signal; longer than a step should take."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that torch's launcher handles."""
LOGGERS = ("torch.distributed.elastic", "torch.multiprocessing")
"""Loggers of torch's launcher, each with a level of its own."""


def launch(entrypoint: Entrypoint[Result], processes: int, progress: Progress = silent) -> Result:
    """Run `entrypoint` in several processes with torchrun's environment; returns the result of the first.

    `entrypoint` must be picklable. Updates of the first process go to `progress`.

    Raises:
        SeatrialError: the error of a process.
        Interrupted: a signal came; the processes had `STOP_S` to exit.
        LostProcess: a process was killed.
    """
    context = import_extra("torch").multiprocessing.get_context(START)
    context.set_forkserver_preload(list(PRELOADED))
    channel = context.SimpleQueue()
    errors: list[SeatrialError | str] = []
    listening = threading.Thread(target=_listen, args=(channel, progress, errors), daemon=True)
    listening.start()
    # Imported before `_contained`, which silences loggers that there are.
    api = import_module("torch.distributed.launcher.api")
    elastic = import_module("torch.distributed.elastic.multiprocessing")
    try:
        with _contained(), tempfile.TemporaryDirectory(prefix="seatrial-") as folder:
            config = _configure(processes, folder)
            result: Result = api.elastic_launch(config, _run_process)(entrypoint, channel, os.getcwd())[0]
            return result
    except api.ChildFailedError as error:
        process, failure = error.get_first_failure()
        exit_code = failure.exitcode
    except elastic.SignalException:
        process, exit_code = None, Interrupted.exit_code
    finally:
        channel.put(None)
        listening.join()
    raise _explain(process, exit_code, errors)


def _configure(processes: int, folder: str) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
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


def _run_process(entrypoint: Entrypoint[Result], channel: SimpleQueue[Any], folder: str) -> Result | None:
    """Run `entrypoint` in a process; sends its error, and exits with the error's code."""
    # The process that this one is forked from may have been started in another folder.
    os.chdir(folder)
    is_main = os.environ["RANK"] == "0"
    try:
        result = entrypoint(channel.put if is_main else silent)
        return result if is_main else None
    except SeatrialError as error:
        channel.put(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(Interrupted.exit_code)
    except Exception:
        channel.put(traceback.format_exc())
        sys.exit(1)


def _listen(channel: SimpleQueue[Any], progress: Progress, errors: list[SeatrialError | str]) -> None:
    while (message := channel.get()) is not None:
        if isinstance(message, Update):
            progress(message)
        else:
            errors.append(message)


def _explain(process: int | None, exit_code: int, errors: list[SeatrialError | str]) -> Exception:
    """The error to raise: that of a process if it sent one."""
    if exit_code < 0:
        return LostProcess(
            f"process {process} of the training was killed by {signal.Signals(-exit_code).name}",
            "if memory ran out, give a smaller --batch-size; run the same command to resume from the last snapshot",
        )
    # The error of a process that only lost another one comes last.
    for error in sorted(errors, key=lambda error: isinstance(error, LostProcess)):
        if isinstance(error, SeatrialError):
            return error
        return RuntimeError(f"process {process} of the training failed\n{error}")
    if exit_code == Interrupted.exit_code:
        return Interrupted("stopped", "run the same command to resume")
    return RuntimeError(f"process {process} of the training ended with exit code {exit_code} and no error message")


@contextmanager
def _contained() -> Iterator[None]:
    """Restore the handlers that torch's launcher replaces, and silence it: it logs twenty lines for an error."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                stack.callback(signal.signal, number, signal.getsignal(number))
        for name in [name for name in logging.root.manager.loggerDict if name.startswith(LOGGERS)]:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        yield
