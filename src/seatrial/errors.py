"""Every error that is the user's to mend, and the exit codes of the command; anything else that escapes is our bug.

SeatrialError
├── UsageError            a wrong argument, recipe or configuration
│   └── RunInUse          another process works in this run folder
├── ParityError           outputs that disagree, are NaN, or never change
├── EngineError           engine or device missing, or not as requested
│   ├── BatchTooLarge     a batch does not fit into memory
│   └── LostProcess       another process of the same work went away
├── DataError             images or labels that are missing, broken or contradictory
├── NotComparable         figures that must not be compared
├── RefusedFile           corrupt, unsafe, or another network's file
├── StorageError          the disk is full or may not be written
├── TrainingDiverged      the loss is no longer a number
└── Interrupted           stopped by the user; the same command resumes
"""

import errno
import resource
from enum import IntEnum
from typing import ClassVar, Self

MOST_WORDS = 300
"""Characters of another program's error that ours quotes."""
LONGEST_PROBLEM = 1000
"""Characters of a problem of ours, which may quote several paths, that are shown."""
MOST_SHOWN = 80
"""Characters of a value from a file that an error quotes."""


class ExitCode(IntEnum):
    """What the `seatrial` command ends with: of an error, a verdict or a diagnosis."""

    meaning: str
    """As `seatrial --help` and the README explain it."""

    PASS = 0, "pass"
    BUG = 1, "a bug of ours"
    USAGE = 2, "usage, configuration"
    ACCURACY = 3, "accuracy gate or parity failed"
    SPEED = 4, "speed or resource gate failed"
    ENGINE = 5, "engine missing, or not as requested"
    DATA = 6, "images or labels invalid or incomplete"
    INCONCLUSIVE = 7, "inconclusive, or not comparable"
    FILE = 8, "file refused: corrupt, unsafe, another network's"
    STORAGE = 9, "disk full, no permission, out of memory"
    DIVERGED = 10, "training diverged"
    STOPPED = 130, "stopped; the same command resumes"

    def __new__(cls, code: int, meaning: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class SeatrialError(Exception):
    """What was asked, what there is and what to do, in one line."""

    exit_code: ClassVar[ExitCode]
    reported = False
    """By another process on the same terminal, so that this one need not."""

    def __init__(self, problem: str, fix: str | None = None) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(problem if fix is None else f"{problem}; {fix}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, str | None]]:
        """Let another process get both parts back."""
        return type(self), (self.problem, self.fix)


class UsageError(SeatrialError):
    """A wrong argument, recipe or configuration."""

    exit_code = ExitCode.USAGE


class RunInUse(UsageError):
    """Another process works in this run folder."""


class ParityError(SeatrialError):
    """Outputs that disagree with the reference, are not numbers, or never change."""

    exit_code = ExitCode.ACCURACY


class EngineError(SeatrialError):
    """An engine or device is missing, or is not as requested."""

    exit_code = ExitCode.ENGINE


class BatchTooLarge(EngineError):
    """A batch does not fit into the memory of the machine or device; a smaller one may."""

    exit_code = ExitCode.STORAGE


class LostProcess(EngineError):
    """Another process of the same work went away without an error that a user could mend."""


class DataError(SeatrialError):
    """Images or labels are missing, broken or contradictory."""

    exit_code = ExitCode.DATA


def cannot_read(what: str, error: OSError) -> DataError:
    """The error for a file that the operating system does not let us read."""
    return DataError(f"{what} cannot be read ({error.strerror})", "check its path and permissions")


def first_line(error: BaseException) -> str:
    """The first line of another library's error, shortened; its class where it says nothing."""
    return shorten((str(error).strip().splitlines() or [type(error).__name__])[0], str(error))


def shorten(text: str, whole: str | None = None) -> str:
    """Another program's words in one line of 300 characters at most; what is longer is kept in a file that it names.

    Args:
        whole: what the file has; None: the text itself.
    """
    line = " ".join(text.split())
    if len(line) <= MOST_WORDS:
        return line
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="seatrial-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write(whole or text)
    except OSError:  # The disk may be what failed.
        return f"{line[:MOST_WORDS].rstrip()} …"
    return f"{line[:MOST_WORDS].rstrip()} … (all of it in {file.name})"


def show_value(value: object) -> str:
    """A value as an error quotes it: as Python writes it, and no more than its first 80 characters."""
    try:
        shown = repr(value)
    except ValueError:  # A number of more digits than Python writes.
        return f"a number of {type(value).__name__} that is too long to show"
    except RecursionError:
        return "a value that is nested too deep to show"
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}…"


def cut(text: str) -> str:
    """The first 80 characters of a line or a word from a file, as an error quotes it."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def describe(error: SeatrialError) -> str:
    """A whole error as the command shows it: a problem or a fix of more than 1000 characters is shortened."""
    parts = [part for part in (error.problem, error.fix) if part is not None]
    return "; ".join(part if len(part) <= LONGEST_PROBLEM else shorten(part) for part in parts)


class NotComparable(SeatrialError):
    """Figures that must not be compared."""

    exit_code = ExitCode.INCONCLUSIVE


class RefusedFile(SeatrialError):
    """A file that is corrupt, unsafe, or belongs to another network."""

    exit_code = ExitCode.FILE


class StorageError(SeatrialError):
    """The disk is full or may not be written."""

    exit_code = ExitCode.STORAGE


NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
"""Errors of the operating system when no further file can be open."""


def too_many_open() -> StorageError:
    """The error where this process may have no further file open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return StorageError(f"too many files are open: this process may have {limit:,}", "raise it with `ulimit -n 4096`")


class TrainingDiverged(SeatrialError):
    """The loss is no longer a number."""

    exit_code = ExitCode.DIVERGED


class Interrupted(SeatrialError):
    """Stopped by the user; the same command resumes."""

    exit_code = ExitCode.STOPPED
