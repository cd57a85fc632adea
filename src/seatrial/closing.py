"""Context managers: for everything that has a `close`, and for what threads borrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")


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


class Pool(SimpleQueue[Item]):
    """What threads that run at the same time take one each of, such as execution contexts."""

    @contextmanager
    def borrow(self) -> Iterator[Item]:
        """One that nobody has; blocks until there is one, and gives it back at the end of the block."""
        item = self.get()
        try:
            yield item
        finally:
            self.put(item)
