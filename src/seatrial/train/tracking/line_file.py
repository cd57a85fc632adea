"""A text file that grows by whole lines, each written before the next."""

import errno
from pathlib import Path

from seatrial.store.files import describe_os_error


class LineFile:
    """Appends lines to a file, unbuffered, so that a killed process loses none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise describe_os_error(error, path) from None

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            StorageError: the disk is full; a part of the line may be written.
        """
        packed = f"{line}\n".encode()
        try:
            if self._file.write(packed) < len(packed):
                raise OSError(errno.ENOSPC, "only part of a line was written")
        except OSError as error:
            raise describe_os_error(error, self.path) from None

    def close(self) -> None:
        """Close the file; twice is harmless."""
        self._file.close()
