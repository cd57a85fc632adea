"""What certainly changed since an older board, engine by engine, and what is noise."""

from collections.abc import Sequence
from pathlib import Path

from seatrial.compare.board import BoardRow, Change
from seatrial.compare.comparability import describe_unlike
from seatrial.compare.predictions import compare_predictions
from seatrial.compare.regression import compare_speed, write_change
from seatrial.compare.speed_column import ONE_CHIP, Kind, SpeedColumn, SpeedFigure, sort_figures
from seatrial.errors import SeatrialError
from seatrial.report.numbers import write_points
from seatrial.results.speed import Rate
from seatrial.store.measurement import Scope
from seatrial.store.predictions import Predictions

Cell = tuple[str, str, str]
"""Model, engine and precision."""


def name_cell(row: BoardRow) -> Cell:
    """What a row is matched by."""
    return row.model, row.engine.name, row.engine.precision


def find_older(row: BoardRow, older: Sequence[BoardRow]) -> BoardRow | Change:
    """The row of an older board to compare with, among those of the same cell: of the same path, or the only one."""
    if not older:
        return Change("new")
    at_path = [other for other in older if other.run == row.run]
    if len(at_path or older) == 1:
        return (at_path or older)[0]
    return Change("not comparable", f"{len(older)} older runs have it, and none of them at {row.run}")


def compare_rows(row: BoardRow, older: BoardRow, folders: tuple[Path, Path]) -> Change:
    """What became of a row: its verdict, its predictions and its best rate.

    Args:
        folders: of the board and of the older one.
    """
    kinds, reasons = set(), []
    before, after = older.engine.outcome, row.engine.outcome
    if before != after and before is not None and after is not None:
        kinds.add("worse" if after == "FAIL" or before == "PASS" else "better")
        reasons.append(f"{before} became {after}")
    for kind, reason in (_compare_accuracy(row, older, folders), _compare_rates(row, older)):
        if kind:
            kinds.add(kind)
            reasons.append(reason)
    ranked = ("worse", "better", "not certain", "same", "not comparable")
    return Change(next((kind for kind in ranked if kind in kinds), "not comparable"), "; ".join(reasons))


def _compare_accuracy(row: BoardRow, older: BoardRow, folders: tuple[Path, Path]) -> tuple[str, str]:
    """The kind of change of the predictions, and its figures; empty where one of the two has none."""
    engines = (row.engine, older.engine)
    if not all(engine.predictions_sha256 for engine in engines):
        return "", ""
    if engines[0].predictions_sha256 == engines[1].predictions_sha256:
        return "same", "the same predictions"
    paths = [
        folder / each.run / "evaluation" / each.engine.predictions
        for folder, each in zip(folders, (row, older), strict=True)
    ]
    try:
        ours, theirs = (Predictions.load(path) for path in paths)
        found = compare_predictions(theirs, ours, ("the older", "the newer"))
    except SeatrialError as error:
        return "not comparable", error.problem
    changed = f"{found.agreement.changed} of {found.agreement.images} first classes changed"
    if found.versus is None:
        return "not certain" if found.agreement.changed else "same", f"{changed}, without labels"
    v = found.versus
    kind = "worse" if v.low_pp > 0 else "better" if v.high_pp < 0 else "not certain" if v.changed else "same"
    drop = f"{write_points(v.low_pp)} to {write_points(v.high_pp)}"
    return kind, f"top-1 fell {write_points(v.drop_pp)} points ({drop}), {changed}"


def _compare_rates(row: BoardRow, older: BoardRow) -> tuple[str, str]:
    """The kind of change of the best rate, and its figures; empty where one of the two has none."""
    if not row.engine.figures or not older.engine.figures:
        return "", ""
    change = compare_speed(_make_column(older, "older"), _make_column(row, "newer"))
    if change.refused:
        unlike = "; ".join(describe_unlike(kind, change.unlike[kind]) for kind in change.refused)
        return "not comparable", f"images/s are not comparable: {unlike}"
    ratio = change.best
    if ratio is None:
        return "not comparable", "images/s are not comparable: no batch size was measured in both"
    lone = [f"batch {', '.join(map(str, sizes))} in the {where} alone" for where, sizes in change.lone_sizes.items()]
    written = "; ".join([f"images/s at best {write_change(ratio)}", *lone, *change.notes])
    if ratio.doubt is not None or ratio.bounds is None:
        return "not certain", written
    low, high = ratio.bounds
    return "worse" if high < 1 else "better" if low > 1 else "not certain", written


def _make_column(row: BoardRow, name: str) -> SpeedColumn:
    """A row's rates as a column of `compare.regression`."""
    engine = row.engine
    found: list[tuple[Scope, int | None, SpeedFigure]] = []
    for each in engine.figures:
        bounds = None if each.low is None or each.high is None else (each.low, each.high)
        figure = SpeedFigure(Rate(each.images_per_s, bounds, each.doubt), each.streams, each.processes)
        found.append((each.scope, each.batch_size, figure))
    facts: dict[Kind, str | None] = {
        "precision": engine.precision,
        "model": row.model,
        "graph": engine.facts.get("graph"),
        "preprocess": engine.facts.get("preprocess"),
        "machine": f"{engine.machine} ({engine.machine_hash[:8]})",
        "clock": engine.facts.get("clock") or None,
    }
    chips = None if engine.engine in ONE_CHIP else 1
    return SpeedColumn(name, f"{engine.engine} on {engine.device}", facts, chips, sort_figures(found))
