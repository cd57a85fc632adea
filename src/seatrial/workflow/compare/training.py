"""`seatrial compare` of records of `train --performance`."""

from collections.abc import Collection, Sequence
from pathlib import Path

from seatrial.compare.training_table import TrainingTable, make_training_table
from seatrial.store.training import TrainingSpeedRecord
from seatrial.workflow.compare.inputs import load_by_name


def compare_trainings(paths: Sequence[Path], allowed: Collection[str] = ()) -> TrainingTable:
    """Compare speeds of training, each by the name in its record, or by its path if two share a name.

    Raises:
        NotComparable: they differ in something that was not allowed.
        UsageError: a file is another record, or given twice.
        RefusedFile: a file is damaged.
    """
    return make_training_table(load_by_name(paths, TrainingSpeedRecord.load), allowed)
