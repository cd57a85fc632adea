"""Every error that is the user's to mend, with its exit code; anything else that escapes is our bug (exit 1).

SeatrialError
├── UsageError            2    a wrong argument, recipe or configuration
│   └── RunInUse          2    another process works in this run folder
├── ParityError           3    outputs that disagree, are NaN, or never change
├── EngineError           5    engine or device missing, or it did not give what was asked
│   └── LostProcess       5    another process of the same work went away
├── DataError             6    images or labels that are missing, broken or contradictory
├── NotComparable         7    figures that must not stand beside each other
├── RefusedFile           8    corrupt, unsafe, or another network's file
├── StorageError          9    the disk is full or may not be written
├── TrainingDiverged     10    the loss is no longer a number
└── Interrupted         130    stopped by the user; the same command resumes

Exit codes 3, 4 and 7 are also a verdict's: see `compare.verdict`.
"""

from typing import ClassVar, Self


class SeatrialError(Exception):
    """What was asked, what was found and what to do, in one line."""

    exit_code: ClassVar[int]
    told = False
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

    exit_code = 2


class RunInUse(UsageError):
    """Another process works in this run folder."""


class ParityError(SeatrialError):
    """Outputs that disagree with the reference, are not numbers, or never change."""

    exit_code = 3


class EngineError(SeatrialError):
    """An engine or device is missing, or did not give what was asked."""

    exit_code = 5


class LostProcess(EngineError):
    """Another process of the same work went away without a word."""


class DataError(SeatrialError):
    """Images or labels are missing, broken or contradictory."""

    exit_code = 6


class NotComparable(SeatrialError):
    """Figures that must not stand beside each other."""

    exit_code = 7


class RefusedFile(SeatrialError):
    """A file that is corrupt, unsafe, or belongs to another network."""

    exit_code = 8


class StorageError(SeatrialError):
    """The disk is full or may not be written."""

    exit_code = 9


class TrainingDiverged(SeatrialError):
    """The loss is no longer a number."""

    exit_code = 10


class Interrupted(SeatrialError):
    """Stopped by the user; the same command goes on where it stopped."""

    exit_code = 130
