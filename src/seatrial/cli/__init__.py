"""Arguments in, workflow calls, exit codes; the only place that prints. Results go to stdout, all else to stderr."""

import atexit
import errno
import itertools
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from seatrial.errors import ExitCode, SeatrialError, cut, describe
from seatrial.machine.out_of_memory import is_out_of_memory

GRACE_S = 4
"""Seconds for a stopped command to clean up; finished work is on disk before."""
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of the operating system about a path that no file can have."""
STOPPED = "stopped; the same command resumes"
NO_MEMORY = "seatrial: this process may not have the memory that it takes to begin; give it more (`ulimit -v`)\n"
WITHOUT_RESULT = {"ui": "stopped; the page is closed"}
"""What is said instead of verbs that leave nothing to resume."""
COMPLETION_OPTIONS = {"--install-completion", "--show-completion"}
_command: list[str] = []
"""The words of the command that runs."""
_end_at_once = os._exit
"""Kept, as the user's code runs without it (`models.user_code`)."""


def run_cli(arguments: Sequence[str], announcing: bool = False) -> int:
    """Run one command and return its exit code; a bug of ours leaves its traceback and exit code 1.

    Args:
        announcing: say at once that a verb has begun which shows its progress.
    """
    try:
        return _run(arguments, announcing)
    except Exception as error:
        if not any(is_out_of_memory(each) for each in _list_causes(error)):
            raise
        # There was none to import what runs a command, or what tells an error: nothing more may be imported.
        os.write(2, NO_MEMORY.encode())
        return ExitCode.STORAGE


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those in whose handling it arose."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__context__


def _run(arguments: Sequence[str], announcing: bool) -> int:
    from seatrial.cli.app import make_app
    from seatrial.cli.check_output import guard
    from seatrial.cli.completion import prepare_completion
    from seatrial.cli.output.progress import announce, one_command
    from seatrial.extras import naming_extras
    from seatrial.machine.lost_threads import raising_lost_threads

    _command[:] = arguments
    # Also where a shell that starts jobs in the background had Ctrl-C ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app = make_app()
        if COMPLETION_OPTIONS & {*arguments}:
            prepare_completion(arguments)
        if announcing:
            announce(app, arguments)
        with one_command(), naming_extras(), raising_lost_threads():
            code = guard(_find_command(app))(args=list(arguments), prog_name="seatrial", standalone_mode=False)
        sys.stdout.flush()
        # typer turns Ctrl-C into this code without a word.
        return _fail(_write_stopped(), code) if code == ExitCode.STOPPED else code if isinstance(code, int) else 0
    except _find_usage_error() as error:
        return _fail_for_usage(error)
    except SeatrialError as error:
        return error.exit_code if error.reported else _fail(describe(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(_write_stopped(), ExitCode.STOPPED)
    except (BrokenPipeError, SystemExit) as error:
        return _end_early(error, arguments)
    except Exception as error:
        return _fail_for_system(error)


def _end_early(error: BrokenPipeError | SystemExit, arguments: Sequence[str]) -> int:
    """The exit code where nobody reads on, or where something leaves with `sys.exit`."""
    if COMPLETION_OPTIONS & {*arguments} and isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    # typer itself exits where it notices; else somebody's code did, whose work is not known to be done.
    if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
        return _fail("code that was run leaves with sys.exit before the work is done", ExitCode.BUG)
    # Whoever read our stdout has seen enough; nothing may be written at exit.
    sys.stdout = None
    return 0


def _fail(message: str, code: int) -> int:
    from seatrial.cli.output.progress import print_error

    print_error(message)
    return code


def complete() -> int:
    """Answer a shell that wants a command line completed (`cli.completion`)."""
    from seatrial.cli.app import make_app
    from seatrial.cli.completion import run_completion

    return run_completion(_find_command(make_app()))


def _write_stopped() -> str:
    """That the command was stopped, and the very one that goes on."""
    verb = next((word for word in _command if not word.startswith("-")), "")
    if verb in WITHOUT_RESULT:
        return WITHOUT_RESULT[verb]
    return f"{STOPPED}: {shlex.join(['seatrial', *_command])}"


def _find_command(app: Any) -> Any:
    from typer.main import get_command

    from seatrial.cli.examples import add_examples

    return add_examples(get_command(app))


def _find_usage_error() -> type[Exception]:
    """The base of whatever typer raises for wrong usage, which it does not export."""
    import typer

    *_, base = itertools.takewhile(lambda kind: hasattr(kind, "format_message"), typer.BadParameter.__mro__)
    return base


def _fail_for_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        # Its message is the command's help, in lines.
        sys.stderr.write(f"{error.format_message()}\n")
        return ExitCode.USAGE
    return _fail(_write_usage(error), ExitCode.USAGE)


def _write_usage(error: Any) -> str:
    """The message of wrong usage; of options that are near the one that is not there only the nearest."""
    if type(error).__name__ == "MissingParameter" and error.ctx is not None:
        return _write_missing(error.ctx)
    possible = getattr(error, "possibilities", None)
    if not possible:
        return str(error.format_message())
    from difflib import get_close_matches

    nearest = get_close_matches(error.option_name, possible, n=1, cutoff=0)[0]
    return f"{error.message}; did you mean '{nearest}'?"


def _write_missing(context: Any) -> str:
    """All that a command needs and was not given, each with its help: what is given is parsed before what is not."""
    parameters = context.command.get_params(context)
    missing = [each for each in parameters if each.required and context.params.get(each.name) is None]
    needs = ", ".join(f"{each.opts[0]} ({str(each.help).rstrip('.')})" for each in missing)
    command = context.command_path
    return f"{command.partition(' ')[2] or command} needs {needs}; `{command} --help` has examples"


def _fail_for_storage(error: OSError) -> int:
    from seatrial.store.files import STORAGE_ERRORS, describe_os_error

    if error.errno in NO_PATH:
        return _fail(f"{cut(os.fsdecode(error.filename or ''))} is no path ({error.strerror})", ExitCode.USAGE)
    if error.errno not in STORAGE_ERRORS:
        raise error
    failure = describe_os_error(error, Path(error.filename or "."))
    return _fail(str(failure), failure.exit_code)


def _fail_for_system(error: Exception) -> int:
    """For what the operating system refused, whatever a library made of it; anything else is a bug of ours."""
    from seatrial.errors import NO_DESCRIPTORS, too_many_open

    if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
        traceback.clear_frames(error.__traceback__)  # They hold open files, and what follows imports modules.
        return _fail(str(too_many_open()), ExitCode.STORAGE)
    from seatrial.machine.out_of_memory import describe_limit, is_out_of_memory

    if is_out_of_memory(error):
        from seatrial.errors import first_line

        fix = "give it smaller images, batches or sets, or more memory"
        reason = f"{first_line(error)}{describe_limit()}"
        return _fail(f"this does not fit into memory ({reason}); {fix}", ExitCode.STORAGE)
    if isinstance(error, OSError):
        return _fail_for_storage(error)
    if isinstance(error, UnicodeEncodeError):
        return _fail_for_encoding(error)
    raise error


def _fail_for_encoding(error: UnicodeEncodeError) -> int:
    """For a name that this system's encoding of file names lacks, which any UTF-8 locale has."""
    encoding = sys.getfilesystemencoding()
    if error.encoding.lower() != encoding or encoding == "utf-8":
        raise error
    fix = "set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8"
    return _fail(f"no file here can be called '{cut(error.object)}': names are in {encoding}; {fix}", ExitCode.USAGE)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """Clean up, but for a few seconds only, as a batch may take long; a second signal ends at once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _leave)
    signal.alarm(GRACE_S)
    # Threads have ended by then; the interpreter cleans up without a handler.
    atexit.register(signal.alarm, 0)
    raise KeyboardInterrupt


def _leave(signal_number: int, frame: FrameType | None) -> None:
    os.write(2, f"seatrial: {_write_stopped()}\n".encode())
    _end_at_once(ExitCode.STOPPED)
