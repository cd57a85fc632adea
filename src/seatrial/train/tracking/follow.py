"""How far a training is, read from `train.jsonl` while another process writes it."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.foreign.files import open_regular

CURVE = 400
"""Steps of the curve are thinned out when there are twice as many."""
PART = 2**22
"""Bytes that are read at a time."""


@dataclass(slots=True)
class TrainingProgress:
    """What is on disk of a training."""

    last: dict[str, Any] | None = None
    """The last step's line."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """The lines of all epochs."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """The lines of some steps, evenly spread."""


class TrainingFollower:
    """Reads the lines that were added since it was looked at before; one that is not whole yet is left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin_anew(0)

    def _begin_anew(self, inode: int) -> None:
        self._inode, self._offset, self._rest = inode, 0, b""
        self._steps, self._every = 0, 1
        self._found = TrainingProgress()

    def read(self) -> TrainingProgress | None:
        """How far it is now; None where there is no such file."""
        try:
            with open_regular(self._path) as file:
                status = os.fstat(file.fileno())
                # A resumed training cuts the file back to its snapshot.
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._begin_anew(status.st_ino)
                file.seek(self._offset)
                while part := file.read(PART):
                    self._offset += len(part)
                    *lines, rest = (self._rest + part).split(b"\n")
                    # No line of ours is as long: what has no end is not gathered.
                    self._rest = rest if len(rest) <= PART else b""
                    self._take(lines)
        except OSError:
            return None
        return self._found

    def _take(self, lines: list[bytes]) -> None:
        last = b""
        for line in lines:
            if line.startswith(b'{"event": "epoch"'):
                self._found.epochs += _parse(line)
                continue
            if self._steps % self._every == 0:
                self._found.curve += _parse(line)
                if len(self._found.curve) >= 2 * CURVE:
                    self._found.curve, self._every = self._found.curve[::2], 2 * self._every
            self._steps += 1
            last = line
        for found in _parse(last):
            self._found.last = found


def _parse(line: bytes) -> list[dict[str, Any]]:
    """The object of a line; none of one that is damaged."""
    try:
        found = json.loads(line)
    except ValueError:
        return []
    return [found] if isinstance(found, dict) else []
