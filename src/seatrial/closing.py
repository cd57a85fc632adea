"""What makes whoever can be closed a context manager."""

from types import TracebackType
from typing import Self


class Closing:
    """Closed where its block ends."""

    def close(self) -> None:
        """Free everything; harmless the second time."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
