"""Which layers do not run in the requested precision, and why, as far as the engine says so."""

from collections.abc import Iterator

from seatrial.report.numbers import write_count
from seatrial.report.tables import ENGINE, NOTHING, Column, Table
from seatrial.results.run_folder import Run
from seatrial.store.records import EngineManifest, LayerPrecision

MOST_NAMES = 3
"""Of the layers that a row is about."""


def make_layers(run: Run) -> Table:
    """Layers in another precision than requested, those of one kind in a row."""
    rows = tuple(row for name, built in run.built.items() for row in _list_rows(name, built))
    columns = (
        ENGINE,
        *map(Column, ("Requested", "Runs in")),
        Column("Layers", "number"),
        *map(Column, ("Operator", "Names", "Why")),
    )
    note = (
        "Layers that multiply matrices, as the engine names them after compiling; what it fuses into them runs with "
        "them. A dash: it names none, or gives no reason."
    )
    absent = "Every layer runs in the precision that was requested, as far as the engines report it."
    return Table("Layers in another precision", note, columns, rows, absent)


def _list_rows(name: str, built: EngineManifest) -> Iterator[tuple[str, ...]]:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for layer in built.other_layers:
        groups.setdefault((layer.precision, layer.operator, _explain(layer, built)), []).append(layer.name)
    for (precision, operator, why), names in groups.items():
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        shown = ", ".join(names[:MOST_NAMES]) + more
        yield name, built.precision, precision, write_count(len(names)), operator, shown, why
    for precision, count in built.executed.items():
        unnamed = count - sum(layer.precision == precision for layer in built.other_layers)
        if precision != built.precision and unnamed > 0:
            yield name, built.precision, precision, write_count(unnamed), NOTHING, NOTHING, NOTHING


def _explain(layer: LayerPrecision, built: EngineManifest) -> str:
    kept = built.graph.calibration.kept_float if built.graph.calibration else ()
    return "kept in float to keep the accuracy" if layer.name in kept else layer.reason or NOTHING
