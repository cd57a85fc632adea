"""The command's standard streams: closed, full, without a reader or in an old encoding, no command comes apart."""

import codecs
import io
import os
import sys
from typing import TextIO

from seatrial.errors import StorageError
from seatrial.printable import make_printable

LOOK_ALIKES = str.maketrans({
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    "×": "x", "…": "...", "·": "*", "≥": ">=", "≤": "<=", "→": "->", "±": "+/-", "≈": "~", "µ": "u", "²": "2",
})  # fmt: skip
"""What stands for characters of ours where an encoding lacks them; any other is written as an escape."""
_HANDLER = "seatrial-look-alike"


def prepare_streams() -> None:
    """Let every standard stream be there and take whatever is printed; for a process that is all ours."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # Closed: the next file that is opened would take its place.
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error(_HANDLER, _write_look_alike)
    sys.stdout = _wrap(sys.stdout, 1)
    sys.stderr = _wrap(sys.stderr, 2)


def _wrap(stream: TextIO | None, descriptor: int) -> TextIO:
    buffer = io.BufferedWriter(_Outlet(descriptor))  # type: ignore[type-var]
    encoding = getattr(stream, "encoding", None) or "utf-8"
    is_direct = descriptor == 2 or os.isatty(descriptor) or bool(getattr(stream, "write_through", False))
    return io.TextIOWrapper(buffer, encoding=encoding, errors=_HANDLER, line_buffering=is_direct)


def _write_look_alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(LOOK_ALIKES)
    return "".join(char if char.isascii() else _escape(char) for char in plain), error.end


def _escape(char: str) -> str:
    shown = make_printable(char)
    return shown if shown.isascii() else char.encode("unicode_escape").decode()


class _Outlet(io.RawIOBase):
    """A descriptor to write to; what nobody reads any more is dropped, and so is stderr's where it takes none."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_gone = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        if self._is_gone:
            return len(data)
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return self._wait(data)
        except OSError as error:
            # Also what is still in the buffer, which is written when the process ends.
            self._is_gone = True
            if isinstance(error, BrokenPipeError) or self._descriptor == 2:
                return len(data)
            raise StorageError(f"standard output cannot be written ({error.strerror})", "make room there") from None

    def _wait(self, data: "bytes | memoryview") -> int:
        """Write to what another process made non-blocking."""
        os.set_blocking(self._descriptor, True)
        return os.write(self._descriptor, data)
