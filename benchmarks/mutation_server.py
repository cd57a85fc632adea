"""Runs pytest in forks of a process that has the frameworks imported: most of a short run is their import.

Its arguments are their names. Reads requests and writes replies, one JSON object a line.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress

PATIENCE = 6
"""Wall seconds for each processor second of a limit: others use this machine too."""


NO_RUN = 70
"""Exit code of a fork in which pytest itself fails."""


def run_pytest(words: list[str], seconds: int, log: str) -> tuple[int, float]:
    """The exit code, below 0 for one that was killed, and the seconds of the processor."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            sys.stdout = sys.__stdout__ = os.fdopen(1, "w", buffering=1, closefd=False)
            import pytest

            code = int(pytest.main(words))
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            os._exit(NO_RUN)
    deadline = time.perf_counter() + PATIENCE * seconds
    while (ended := os.wait4(child, os.WNOHANG))[0] == 0:
        if time.perf_counter() > deadline:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests have left behind
    return os.waitstatus_to_exitcode(ended[1]), ended[2].ru_utime + ended[2].ru_stime


def main() -> None:
    """Serve until the input ends."""
    sys.path.pop(0)
    for name in sys.argv[1:]:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    for line in sys.stdin:
        request = json.loads(line)
        code, seconds = run_pytest(request["words"], request["seconds"], request["log"])
        print(json.dumps({"code": code, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
