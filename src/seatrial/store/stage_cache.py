"""Stages that are done once: a result is stored under a key of everything that went into it, and found by that key."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from seatrial.errors import RefusedFile, SeatrialError
from seatrial.progress import Progress, Update
from seatrial.store.files import hash_value


class Keyed(Protocol):
    """A record that carries its stage's key."""

    @property
    def key(self) -> str:
        """The content address of the stage's inputs."""


Watch = Callable[[str, bool], None]
"""Gets the name of a stage, and whether it was found done."""
_watch: ContextVar[Watch | None] = ContextVar("what looks on when stages look for their results", default=None)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Let `watch` know of every stage that looks for its result in the block; what it raises ends the stage."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


Stored = TypeVar("Stored", bound=Keyed)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CachedStage:
    """One stage of the pipeline and its cache."""

    name: str
    """The stage that progress is reported for."""
    version: str
    """Its name and a number in every key; the number rises when the same inputs give another result."""
    done: str
    """The participle for messages, such as `compiled`."""

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The content address of `inputs`, which are JSON values."""
        return hash_value({"stage": self.version, **inputs})

    def find(
        self,
        key: str,
        load: Callable[[], Stored],
        check: Callable[[Stored], Result | None],
        progress: Progress,
        what: str = "",
    ) -> Result | None:
        """The stored result of this key; None where there is none, or none that can be used.

        Args:
            load: reads the record; its errors mean that there is none.
            check: the result of a record whose key is right, if its files are unchanged; a `RefusedFile` is reported.
            what: the name under which a result that was found is reported; empty reports none.
        """
        result = None
        try:
            record = load()
            result = check(record) if record.key == key else None
        except RefusedFile as error:
            progress(Update(self.name, note=f"{error.problem}: it is {self.done} again"))
        except SeatrialError:  # There is none, or one of another version.
            pass
        watch = _watch.get()
        if watch is not None:
            watch(self.name, result is not None)
        if what and result is not None:
            progress(self.already(what))
        return result

    def already(self, what: str) -> Update:
        """The progress note of a result that was found."""
        return Update(self.name, note=f"already {self.done}: {what}")
