"""Engine files that open where there is no seatrial: what only some engines can offer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from seatrial.engines.base import EngineFile


@dataclass(frozen=True, slots=True)
class Runtime:
    """What opens an engine file: see `workflow.bundle`."""

    settings: Mapping[str, Any]
    """As `open_ENGINE.py` takes them; `threads` is None where all cores are meant."""
    distributions: tuple[str, ...]
    """What must be installed."""


@runtime_checkable
class Packable(Protocol):
    """An engine whose files open without seatrial."""

    def describe_runtime(self, file: EngineFile) -> Runtime:
        """How `file` was opened when it was evaluated.

        Raises:
            EngineError: this one needs seatrial; names why.
        """
