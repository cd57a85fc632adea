"""A Python with the heavy libraries loaded that forks a process for each command line: most of a command is imports.

Started by `planted_trial.Cli` with the source tree to try on its path. Takes a line of JSON for each command on stdin,
`words` and the files for `stdout` and `stderr`, and answers with the process's id and, once it ended, its exit code.
"""

import json
import os
import sys


def serve() -> None:
    """Until stdin ends."""
    import timm  # noqa: F401  brings torch and torchvision; neither starts threads while it is imported
    import torch  # noqa: F401

    from seatrial.cli import run_cli

    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            for number, path in ((0, os.devnull), (1, asked["stdout"]), (2, asked["stderr"])):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
            sys.exit(run_cli(asked["words"]))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
