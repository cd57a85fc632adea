"""`seatrial compare` of records of speed, in one table: of `bench` and `import-log`, or of `train --performance`."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from seatrial.compare.speed_column import SpeedColumn, read_imported, read_measurement
from seatrial.compare.training_facts import TrainingFacts, load_training
from seatrial.compare.training_table import TrainingTable, make_training_table
from seatrial.errors import UsageError
from seatrial.store.imported import SpeedRecord, load_speed
from seatrial.store.measurement import Measurement
from seatrial.workflow.compare.inputs import name_files

AnySpeed = TypeVar("AnySpeed", SpeedRecord, TrainingFacts)


def read_columns(paths: Sequence[Path]) -> tuple[SpeedColumn, ...]:
    """Records of speed as columns; each has its own name, or that of its path where two share one.

    Raises:
        UsageError: a file is no record of speed, or is given twice.
        RefusedFile: a file is damaged.
    """
    return tuple(
        read_measurement(record, name) if isinstance(record, Measurement) else read_imported(record, name)
        for name, record in _load_by_name(paths, load_speed).items()
    )


def compare_trainings(paths: Sequence[Path], allowed: Collection[str] = ()) -> TrainingTable:
    """Compare speeds of training, each by the name in its record, or by its path if two share a name.

    Raises:
        NotComparable: they differ in something that was not allowed.
        UsageError: a file is another record, or given twice.
        RefusedFile: a file is damaged.
    """
    return make_training_table(_load_by_name(paths, load_training), allowed)


def _load_by_name(paths: Sequence[Path], load: Callable[[Path], AnySpeed]) -> dict[str, AnySpeed]:
    """Records by their own names, or by their paths where two share a name.

    Raises:
        UsageError: a record is given twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("a record is given twice", "give each once")
    records = [load(path) for path in paths]
    names = tuple(record.name for record in records)
    return dict(zip(names if len(set(names)) == len(names) else name_files(paths), records, strict=True))
