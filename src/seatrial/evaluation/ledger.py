"""What an evaluation has finished so far: an append-only file, so that a killed one goes on and counts nothing twice.

A line of JSON names what is evaluated; each entry after it is its length, its CRC-32 and its bytes, fsynced. The last
entry may be torn by a crash: it is cut off, and its images are run again.
"""

import io
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.errors import StorageError
from seatrial.evaluation.stream import PredictionBatch
from seatrial.metrics.topk import TopK
from seatrial.store.files import describe_os_error, lock_file, make_folder

SCHEMA = "seatrial/ledger/3"
COLUMNS = ("indices", "classes", "scores", "log_denominators", "distributions", "digests", "contents")


@dataclass(slots=True)
class Tally:
    """The results of n images so far, by index."""

    done: NDArray[np.bool_]
    """Predicted, or unreadable."""
    bad: dict[int, str] = field(default_factory=dict)
    """Why an image could not be read."""
    notes: dict[int, str] = field(default_factory=dict)
    """What was noted of an image file: see `data.preprocessing.decode.decode_image`."""
    classes: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    """(n, k)"""
    scores: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(n, k)"""
    log_denominators: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """(n,)"""
    distributions: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    """(n,)"""
    digests: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """(n,)"""
    contents: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """(n,), what identifies each image's bytes: `data.loading.batches.fill_row`."""
    logits_at: NDArray[np.int64] | None = None
    """(n,), where an image's logits begin in the ledger's file, in bytes."""
    width: int = 0
    """Classes of the engine; 0 until the first prediction."""
    decode_s: float = 0.0
    run_s: float = 0.0
    wall_s: float = 0.0
    """Of all attempts together, each up to its last entry."""
    attempts: int = 0
    """How often the evaluation was begun or resumed."""
    machines: set[str] = field(default_factory=set)
    """That ran images, if they were others than this one: `PredictionBatch.machine`."""

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """(n,), whether an image has predictions."""
        rows = self.done.copy()
        rows[list(self.bad)] = False
        return rows


class PredictionLedger(Closing):
    """The tally of one evaluation of `count` images, kept in a file.

    Raises:
        RunInUse: another process writes to it.
        StorageError: the disk is full or may not be written.
    """

    def __init__(
        self, path: Path, key: str, count: int, resume: bool = True, labels: NDArray[np.int32] | None = None
    ) -> None:
        """Open or begin it.

        Args:
            labels: (count,), to note how many images of each entry are right, for whoever follows the evaluation.
        """
        self.path, self.tally, self._labels = path, Tally(np.zeros(count, bool)), labels
        make_folder(path.parent)
        self._file = lock_file(path, f"another process evaluates into {path.parent}")
        self._header = json.dumps({"schema": SCHEMA, "key": key, "images": count}).encode() + b"\n"
        self._file.seek(0)
        self._begun = resume and self._file.readline(1000) == self._header
        if self._begun:
            self._read_entries()
            # What could not be read may have been mended meanwhile.
            self._forget_bad(list(self.tally.bad))
            self.tally.attempts += 1
        else:
            self.clear()

    def clear(self) -> None:
        """Forget all predictions; this attempt is the first. The file is only emptied when there is an entry to add."""
        self.tally = Tally(np.zeros(len(self.tally.done), bool), attempts=1)
        self._begun = False
        if not os.fstat(self._file.fileno()).st_size:
            self._begin()

    @property
    def todo(self) -> NDArray[np.int64]:
        """Indices of the images that are left, ascending."""
        return np.flatnonzero(~self.tally.done)

    def add(self, batches: Sequence[PredictionBatch], seconds: float) -> None:
        """Append some batches; blocks until they are on the disk.

        Args:
            batches: of images that are not in the tally.
            seconds: that they took, overlapping work counted once.
        """
        bad = {index: why for batch in batches for index, why in (batch.bad or {}).items()}
        facts = {
            "attempt": self.tally.attempts,
            "seconds": seconds,
            "bad": list(bad.items()),
            "notes": [pair for batch in batches for pair in (batch.notes or {}).items()],
            "width": max(batch.width for batch in batches),
            "decode_s": sum(batch.decode_s for batch in batches),
            "run_s": sum(batch.run_s for batch in batches),
            "machines": sorted({batch.machine for batch in batches} - {""}),
        }
        arrays = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in COLUMNS}
        facts["images"] = len(arrays["indices"])
        if self._labels is not None:
            facts["hits"] = TopK.of(arrays["classes"], self._labels[arrays["indices"]]).hits
        if batches[0].logits is not None:
            arrays["logits"] = np.concatenate([batch.logits for batch in batches if batch.logits is not None])
        stream = io.BytesIO()
        stream.write(json.dumps(facts).encode() + b"\n")
        for array in arrays.values():
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
        entry = stream.getvalue()
        if not self._begun:
            self._begin()
        at = self._file.seek(0, os.SEEK_END)
        self._append(len(entry).to_bytes(8) + zlib.crc32(entry).to_bytes(4) + entry)
        self._count(*_parse_entry(entry, at + 12))

    def read_logits(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The kept logits (n, classes) of some images."""
        assert self.tally.logits_at is not None
        rows = np.empty((len(indices), self.tally.width), np.float32)
        for row, at in zip(rows, self.tally.logits_at[indices].tolist(), strict=True):
            row[:] = np.frombuffer(os.pread(self._file.fileno(), row.nbytes, at), np.float32)
        return rows

    def remove(self) -> None:
        """Delete the file, once the evaluation is stored elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file and free its lock."""
        self._file.close()

    def _begin(self) -> None:
        self._file.truncate(0)
        self._append(self._header)
        self._begun = True

    def _append(self, data: bytes) -> None:
        try:
            # Not buffered: what could not be written must not be written later either.
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = None
            raise describe_os_error(error, self.path) from None

    def _read_entries(self) -> None:
        end = os.fstat(self._file.fileno()).st_size
        while True:
            at = self._file.tell()
            head = self._file.read(12)
            length = int.from_bytes(head[:8])
            entry = self._file.read(length) if length <= end - at - 12 else b""
            if not entry or zlib.crc32(entry) != int.from_bytes(head[8:]):
                self._file.truncate(at)
                return
            self._count(*_parse_entry(entry, at + 12))

    def _forget_bad(self, indices: Sequence[int]) -> None:
        """Try images again that could not be read in an earlier attempt."""
        for index in indices:
            if self.tally.bad.pop(index, None) is not None:
                self.tally.done[index] = False

    def _count(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]], logits_at: int) -> None:
        tally, indices = self.tally, arrays["indices"]
        bad = {int(index): str(why) for index, why in facts["bad"]}
        self._forget_bad([*indices.tolist(), *bad])
        if tally.done[indices].any() or tally.done[list(bad)].any():
            raise StorageError(f"{self.path} counts an image twice", "delete it, and evaluate again")
        if not tally.width:
            tally.width = facts["width"]
            for column in COLUMNS[1:]:
                rows = arrays[column]
                setattr(tally, column, np.zeros((len(tally.done), *rows.shape[1:]), rows.dtype))
        for column in COLUMNS[1:]:
            getattr(tally, column)[indices] = arrays[column]
        if "logits" in arrays:
            if tally.logits_at is None:
                tally.logits_at = np.full(len(tally.done), -1, np.int64)
            tally.logits_at[indices] = logits_at + 4 * tally.width * np.arange(len(indices))
        tally.done[indices] = True
        tally.done[list(bad)] = True
        tally.bad |= bad
        tally.notes |= {int(index): str(note) for index, note in facts["notes"]}
        tally.decode_s += facts["decode_s"]
        tally.run_s += facts["run_s"]
        tally.wall_s += facts["seconds"]
        tally.attempts = max(tally.attempts, facts["attempt"])
        tally.machines.update(facts["machines"])


def _parse_entry(entry: bytes, at: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]], int]:
    """The facts and arrays of an entry at the offset `at`, and the offset of its logits."""
    stream = io.BytesIO(entry)
    facts = json.loads(stream.readline())
    arrays, start = {}, 0
    for name in (*COLUMNS, "logits"):
        if stream.tell() < len(entry):
            arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
            start = at + stream.tell() - arrays[name].nbytes
    return facts, arrays, start
