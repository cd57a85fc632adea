"""A context manager for everything that has a `close`."""

from types import TracebackType
from typing import Self


class Closing:
    """Is closed at the end of its `with` block."""

    def close(self) -> None:
        """Free everything; harmless the second time."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
