"""How far an evaluation is, read from its ledger while another process writes it."""

import json
import os
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seatrial.evaluation.ledger import SCHEMA
from seatrial.foreign.files import open_regular

RECENT_S = 10.0
"""The rate is that of so many seconds of work."""


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """What is on disk of an evaluation."""

    total: int
    """Images in all."""
    predicted: int = 0
    bad: int = 0
    """Images that could not be read."""
    hits: tuple[int, ...] | None = ()
    """Images whose label is among the first 1, 2, … 5 classes; None where that is not known."""
    images_per_s: float | None = None
    attempts: int = 0

    @property
    def done(self) -> int:
        """Predicted, or unreadable."""
        return self.predicted + self.bad


class LedgerFollower:
    """Reads what was added to a ledger since it was looked at before; an entry that is not whole yet is left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin_anew(0)

    def _begin_anew(self, inode: int) -> None:
        self._inode, self._offset = inode, 0
        self._total, self._predicted, self._attempts = 0, 0, 0
        self._bad: set[int] = set()
        self._hits: tuple[int, ...] | None = ()
        self._paces: deque[tuple[int, float]] = deque()

    def read(self) -> EvaluationProgress | None:
        """How far it is now; None where the ledger is gone, or nothing was added to it yet."""
        try:
            with open_regular(self._path) as file:
                status = os.fstat(file.fileno())
                # Another evaluation writes a new header over what was there.
                if status.st_ino != self._inode or status.st_size < self._offset or not self._has_header(file):
                    self._begin_anew(status.st_ino)
                    if not self._read_header(file):
                        return None
                file.seek(self._offset)
                self._read_entries(file, status.st_size)
        except OSError:
            return None
        seconds = sum(each for _, each in self._paces)
        rate = sum(images for images, _ in self._paces) / seconds if seconds else None
        return EvaluationProgress(self._total, self._predicted, len(self._bad), self._hits, rate, self._attempts)

    def _has_header(self, file: IO[bytes]) -> bool:
        return bool(self._offset) and file.readline(1000) == self._header

    def _read_header(self, file: IO[bytes]) -> bool:
        file.seek(0)
        self._header = file.readline(1000)
        try:
            facts = json.loads(self._header)
            if facts["schema"] != SCHEMA:
                return False
            self._total = int(facts["images"])
        except (ValueError, KeyError, TypeError):
            return False
        self._offset = file.tell()
        return True

    def _read_entries(self, file: IO[bytes], end: int) -> None:
        while self._offset + 12 <= end:
            head = file.read(12)
            entry = file.read(min(int.from_bytes(head[:8]), end - self._offset - 12))
            if len(entry) != int.from_bytes(head[:8]) or zlib.crc32(entry) != int.from_bytes(head[8:]):
                return
            self._count(json.loads(entry[: entry.index(b"\n")]))
            self._offset += 12 + len(entry)

    def _count(self, facts: dict[str, Any]) -> None:
        if facts["attempt"] > self._attempts:
            # What could not be read is tried again in every attempt.
            self._bad, self._attempts = set(), facts["attempt"]
        self._bad.update(index for index, _ in facts["bad"])
        images, hits = facts.get("images"), facts.get("hits")
        if images is None or hits is None or self._hits is None:
            # Written by a version that did not count, or there are no labels.
            self._hits = None
        elif self._hits:
            self._hits = tuple(a + b for a, b in zip(self._hits, hits, strict=True))
        else:
            self._hits = tuple(hits)
        self._predicted += images or 0
        self._paces.append((images or 0, facts["seconds"]))
        while len(self._paces) > 1 and sum(seconds for _, seconds in self._paces) > RECENT_S:
            self._paces.popleft()
