"""A Python with the heavy libraries loaded that forks a process for each command line: most of a command is imports.

Started by `planted_trial.Cli` with the source tree to try on its path. Takes a line of JSON for each command on stdin,
`words` and the files for `stdout` and `stderr`, and answers with the process's id and, once it ended, its exit code.
With the word `--fork-all` the processes that a command starts are forked too, of which this tree's tests know how; not
where a line says `alone`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
LOADED = ("seatrial.api.trial", "seatrial.workflow.compare", "seatrial.report.html", "seatrial.report.charts")
"""What most commands import."""


def fork_all() -> None:
    """Let what commands start be forked, and let them find their own modules loaded."""
    import importlib

    sys.path.append(str(TESTS))
    import forked_processes
    from battery_server import fork_what_cases_start
    from short_measurements import measure_briefly

    forked_processes.start_fork(os.getpid).join()
    fork_what_cases_start()
    measure_briefly(setattr)
    for name in LOADED:
        importlib.import_module(name)


def serve() -> None:
    """Until stdin ends."""
    import timm  # noqa: F401  brings torch and torchvision; neither starts threads while it is imported
    import torch  # noqa: F401

    from seatrial.cli import run_cli

    if "--fork-all" in sys.argv[1:]:
        fork_all()
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            for number, path in ((0, os.devnull), (1, asked["stdout"]), (2, asked["stderr"])):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
            if asked["alone"]:
                from seatrial.machine import isolated_process

                isolated_process.subprocess = subprocess
            sys.exit(run_cli(asked["words"]))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
