"""What a list of many runs needs of one: `summary.json`, so that none of its samples and predictions are read again.

It names every record and every file of predictions that it was made of, with checksum, size and time of change: whether
it is still theirs is known without reading them, and of a copy, whose times differ, by reading them.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from seatrial.foreign.files import TEXT_BYTES, read_bytes
from seatrial.foreign.parse import parse_json
from seatrial.store.files import hash_file
from seatrial.store.json_text import restore_names
from seatrial.store.measurement import Scope
from seatrial.store.record import CHECKSUM, Record, find_checksum, read_checksum, verify_checksum
from seatrial.store.records import Outcome
from seatrial.strict import Strict


class SpeedSummary(Strict):
    """The rate at one batch size, of all processes and streams together."""

    scope: Scope
    batch_size: int
    streams: int
    processes: int
    images_per_s: float
    low: float | None
    """Of its 95 % interval; None where nothing repeats."""
    high: float | None
    doubt: str | None
    """Why it is no end of a ratio."""
    memory_bytes: int
    """The most that a process took: on the accelerator where its driver reports that, else of the machine."""


class EngineSummary(Strict):
    """One engine of a run: what was requested, and what came of it."""

    name: str
    engine: str = ""
    """Empty where no record says what it is, like the next two."""
    device: str = ""
    precision: str = ""
    executed: dict[str, int] = Field(default_factory=dict)
    size_bytes: int | None = None
    """Of all files that the engine loads; None where they are not there."""
    images: int | None = None
    """Number of images with predictions; None where none were evaluated."""
    images_hash: str | None = None
    """What identifies them: by their bytes where these are known."""
    labels_hash: str | None = None
    """What identifies which of them have one label, however labels are numbered; empty where that is not known, None in
    older summaries."""
    top1: float | None = None
    """None without labels, like its bounds."""
    top1_low: float | None = None
    """Exact two-sided 95 % interval (Clopper-Pearson)."""
    top1_high: float | None = None
    drop_pp: float | None = None
    """Against the run's reference; None of the reference itself and without labels."""
    drop_low_pp: float | None = None
    drop_high_pp: float | None = None
    agreement: float | None = None
    """Share of equal first classes; None of the reference itself."""
    agreement_low: float | None = None
    agreement_high: float | None = None
    predictions: str = ""
    """The Parquet file, in `evaluation`."""
    predictions_sha256: str = ""
    first_classes: str = ""
    """What engines with the same first class for every image have in common; empty where that is not known."""
    outcome: Outcome | None = None
    """The worst of its gates; None where none was judged."""
    machine: str = ""
    """That measured the speed, in words; empty where none was measured."""
    machine_hash: str = ""
    facts: dict[str, str] = Field(default_factory=dict)
    """That decide what its speed may be compared with: see `compare.speed_column`."""
    figures: tuple[SpeedSummary, ...] = ()


class SummarySource(Strict):
    """A record, or a file of predictions, that a summary was made of."""

    checksum: str
    """A record's own, of predictions the sha256 of the file; empty where there was none."""
    size_bytes: int = 0
    changed_ns: int = 0
    """Time of the file's last change."""

    @classmethod
    def of(cls, path: Path, checksum: str | None = None) -> "SummarySource":
        """What is at a path; without a checksum it is a record that was read, which is not read again."""
        checksum = read_checksum(path) if checksum is None else checksum
        if not checksum:
            return cls(checksum="")
        status = path.stat()
        return cls(checksum=checksum, size_bytes=status.st_size, changed_ns=status.st_mtime_ns)

    def is_at(self, path: str) -> bool:
        """Whether it is still what is at a path: by size and time of change, else, as of a copy, by its content."""
        try:
            status = os.stat(path)
        except OSError:
            return not self.checksum
        if not self.checksum or self.size_bytes not in (0, status.st_size):
            return False
        if self.size_bytes and status.st_mtime_ns == self.changed_ns:
            return True
        return self.checksum == (verify_checksum(path) if path.endswith(".json") else _hash(path))


def _hash(path: str) -> str:
    """The sha256 of a file; empty where it cannot be read."""
    try:
        return hash_file(Path(path))
    except OSError:
        return ""


class WrittenPages(Strict):
    """The pages of a run, and what they were written from."""

    inputs: str
    """Hash of the run's records, of the code and of the libraries that draw: `report.write.describe_pages`."""
    files: dict[str, str]
    """The sha256 of each page, by its name."""


class RunSummary(Record):
    """A run in brief."""

    schema_: Literal["seatrial/summary/1"] = Field(default="seatrial/summary/1", alias="schema")
    recipe: str
    title: str
    origin: str = ""
    """The model reference that the card came from, if it was one."""
    reference: str
    """The engine that the others are compared with."""
    outcome: Outcome | None
    """None where the run was not judged."""
    stale: int
    """Records that are of other inputs and left out."""
    engines: tuple[EngineSummary, ...]
    sources: dict[str, SummarySource]
    """Each record and file of predictions that it was made of, by path in the run folder."""
    pages: WrittenPages | None = None
    """The report beside it; None in older summaries."""

    def list_sources(self) -> dict[str, SummarySource]:
        """What it was made of, by path in the run folder; older versions left out the predictions."""
        found = {
            f"{EVALUATION}/{engine.predictions}": SummarySource(checksum=engine.predictions_sha256)
            for engine in self.engines
            if engine.predictions
        }
        return found | self.sources

    @property
    def is_complete(self) -> bool:
        """Whether it has what rows are ranked by; older versions left out the labels."""
        return all(engine.top1 is None or engine.labels_hash is not None for engine in self.engines)

    def is_of(self, folder: Path) -> bool:
        """Whether the records in a run folder are still those that this was made of."""
        # As text: building so many paths takes longer than looking at the files.
        return all(source.is_at(f"{folder}/{path}") for path, source in self.list_sources().items())

    @classmethod
    def find(cls, folder: Path) -> "RunSummary | None":
        """The summary in a run folder, if it is whole and one of the records there."""
        try:
            data = dict(parse_json(text := read_bytes(f"{folder}/{SUMMARY}", TEXT_BYTES)))
            if CHECKSUM in data and data.pop(CHECKSUM) != find_checksum(data):
                return None
            found = cls.model_validate(restore_names(data, text))
        except (OSError, ValueError, TypeError):  # There is none, or one of another version.
            return None
        return found if found.is_complete and found.is_of(folder) else None


EVALUATION = "evaluation"
"""The folder of the predictions in a run folder."""
SUMMARY = "summary.json"
"""Its path in a run folder."""
