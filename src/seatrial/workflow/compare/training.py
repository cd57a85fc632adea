"""`seatrial compare` of records of `train --performance`."""

from collections.abc import Collection, Sequence
from pathlib import Path

from seatrial.compare.training_table import TrainingTable, make_training_table
from seatrial.errors import UsageError
from seatrial.store.training_speed import TrainingSpeedRecord
from seatrial.workflow.compare.inputs import name_files


def compare_trainings(paths: Sequence[Path], allowed: Collection[str] = ()) -> TrainingTable:
    """Compare speeds of training, each by the name in its record, or by its path if two share a name.

    Raises:
        NotComparable: they differ in something that was not allowed.
        UsageError: a file is another record, or given twice.
        RefusedFile: a file is damaged.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("a record is given twice", "give each once")
    speeds = [TrainingSpeedRecord.load(path) for path in paths]
    names: tuple[str, ...] = tuple(speed.name for speed in speeds)
    if len(set(names)) < len(names):
        names = name_files(paths)
    return make_training_table(dict(zip(names, speeds, strict=True)), allowed)
