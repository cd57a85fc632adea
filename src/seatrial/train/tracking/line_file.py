"""A text file that grows by whole lines, each handed to the operating system before the next."""

import errno
from pathlib import Path

from seatrial.store.files import describe_os_error


class LineFile:
    """Appends to a file; nothing is held back, so a killed process loses no line that it wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise describe_os_error(error, path) from None

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            StorageError: the disk is full; the line may stand there in part.
        """
        packed = f"{line}\n".encode()
        try:
            if self._file.write(packed) < len(packed):
                raise OSError(errno.ENOSPC, "only a part of a line was written")
        except OSError as error:
            raise describe_os_error(error, self.path) from None

    def close(self) -> None:
        """Close the file; twice is harmless."""
        self._file.close()
