"""`seatrial compare` of records of speed: what `bench` and `import-log` wrote, in one table."""

from collections.abc import Sequence
from pathlib import Path

from seatrial.compare.speed_column import SpeedColumn, read_imported, read_measurement
from seatrial.compare.speed_table import SpeedTable, TableSpec, make_table
from seatrial.store.imported import load_speed
from seatrial.store.measurement import Measurement
from seatrial.workflow.compare.inputs import load_by_name


def compare_records(paths: Sequence[Path], spec: TableSpec) -> SpeedTable:
    """Put records of speed side by side; each has its own name, or that of its path where two share one.

    Raises:
        NotComparable: they differ in something that was not allowed.
        UsageError: a file is no record of speed, is given twice, or a baseline or a gate cannot be read.
        RefusedFile: a file is damaged.
    """
    return make_table(read_columns(paths), spec)


def read_columns(paths: Sequence[Path]) -> tuple[SpeedColumn, ...]:
    """Records of speed as columns, under the conditions of `compare_records`."""
    return tuple(
        read_measurement(record, name) if isinstance(record, Measurement) else read_imported(record, name)
        for name, record in load_by_name(paths, load_speed).items()
    )
