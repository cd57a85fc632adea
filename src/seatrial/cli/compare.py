"""`seatrial compare`."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.cli.options import Gate, Json
from seatrial.cli.output.progress import print_json, print_text, show_progress
from seatrial.cli.output.tables import Layout
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.compare.speed_table import SpeedTable
    from seatrial.workflow.compare.predictions import PredictionsComparison
    from seatrial.workflow.compare.runs import ChangeSpec

_PREDICTIONS = ("--gate", "--gate-pp", "--labels", "--limit")
_TAKES = {
    "predictions": _PREDICTIONS,
    "accuracy records": _PREDICTIONS,
    "speed records": ("--baseline", "--gate", "--allow", "--scope", "--per", "--format"),
    "training speeds": ("--allow", "--format"),
    "runs": ("--gate", "--gate-pp", "--max-slower-pct", "--allow", "--format"),
    "speed records under --max-slower-pct": ("--max-slower-pct", "--allow", "--format"),
}
"""The options that apply, by what is compared."""

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="A [B…]",
        help="Records of `bench`, `import-log` or `train --performance`, or {CaseName}.log; two runs; or predictions.",
    ),
]
Baseline = Annotated[
    str | None, typer.Option(help="Records: the baseline of ratios, NAME or NAME,NAME; default: the first.")
]
Allowed = Annotated[
    str | None,
    typer.Option(
        help="Differences to allow: scope,chips,precision,model,graph,preprocess,machine,clock; of trainings "
        "model,data,size."
    ),
]
OneScope = Annotated[
    Literal["device", "host", "e2e"] | None, typer.Option(help="Records: scope to compare; default: a common one.")
]
Per = Annotated[Literal["chip", "card"] | None, typer.Option(help="Records: images/s per chip or per card (default).")]
MaxSlower = Annotated[
    float | None, typer.Option(help="Two runs or records: largest loss of speed, in %; default for runs: 5.", min=0.0)
]
GatePoints = Annotated[
    float | None, typer.Option(help="Runs, predictions: largest drop of top-1, in points.", min=0.0, max=100.0)
]
JudgeLabels = Annotated[
    Path | None, typer.Option(help="Predictions: label file, with classes as numbers, instead of their own labels.")
]
ListLimit = Annotated[int | None, typer.Option(help="Predictions: images and classes to list; default: 10.", min=0)]
Format = Annotated[
    Layout | None,
    typer.Option("--format", help="Records and runs; guide is the Ascend guides' table."),
]


def compare(
    paths: Inputs,
    baseline: Baseline = None,
    gate: Gate = None,
    allow: Allowed = None,
    scope: OneScope = None,
    per: Per = None,
    max_slower_pct: MaxSlower = None,
    gate_pp: GatePoints = None,
    labels: JudgeLabels = None,
    limit: ListLimit = None,
    layout: Format = None,
    as_json: Json = False,
) -> int:
    """Compare records, runs or predictions; what is not comparable is refused."""
    from seatrial.compare.comparability import KINDS, check_kinds
    from seatrial.compare.regression import MAX_SLOWER_PCT
    from seatrial.compare.speed_table import make_table
    from seatrial.compare.verdict import reach_verdict
    from seatrial.workflow.compare.inputs import detect_kind
    from seatrial.workflow.compare.runs import ChangeSpec
    from seatrial.workflow.compare.speed import read_columns

    given = {
        "--baseline": baseline, "--gate": gate, "--allow": allow, "--scope": scope, "--per": per, "--labels": labels,
        "--max-slower-pct": max_slower_pct, "--gate-pp": gate_pp, "--limit": limit, "--format": layout,
    }  # fmt: skip
    kind = detect_kind(paths)
    _refuse_ignored(kind, [name for name, value in given.items() if value is not None])
    if kind == "training speed":
        return _compare_trainings(paths, _split(allow), layout or Layout.TABLE, as_json)
    allowed = check_kinds(_split(allow), KINDS)
    if kind in ("predictions", "accuracy record"):
        found = _read_predictions(kind, paths, labels, gate_pp, tuple(gate or ()))
        print_predictions(found, 10 if limit is None else limit, as_json)
        return reach_verdict("", found.gates).exit_code if found.gates else 0
    if kind == "run" or max_slower_pct is not None:
        limits = ChangeSpec(
            gate_pp, MAX_SLOWER_PCT if max_slower_pct is None else max_slower_pct, allowed, tuple(gate or ())
        )
        return _compare_changes(kind, paths, limits, layout or Layout.TABLE, as_json)
    table = make_table(read_columns(paths), _split(baseline), gate or (), allowed, scope, per)
    return _print_speeds(table, layout or Layout.TABLE, as_json)


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _refuse_ignored(kind: str, given: Collection[str]) -> None:
    things = kind if kind == "predictions" else f"{kind}s"
    if kind == "speed record" and "--max-slower-pct" in given:
        things = "speed records under --max-slower-pct"
    for name in given:
        if name not in _TAKES[things]:
            raise UsageError(f"{name} does not apply to {things}", f"these do: {' '.join(_TAKES[things])}")


def _read_predictions(
    kind: str, paths: list[Path], labels: Path | None, gate_pp: float | None, gates: tuple[str, ...]
) -> "PredictionsComparison":
    from seatrial.compare.gate_expression import GateScope, check_gates
    from seatrial.workflow.compare.inputs import name_files
    from seatrial.workflow.compare.predictions import compare_files, locate_predictions, require

    files = [locate_predictions(path) for path in paths] if kind == "accuracy record" else paths
    names = name_files(files)
    scope = GateScope(names, names[0] if len(names) > 1 else "", kinds=("accuracy",))
    required = check_gates(gates, scope)
    with show_progress() as progress:
        return require(compare_files(files, labels, gate_pp, progress=progress), required, scope)


def print_predictions(found: "PredictionsComparison", limit: int, as_json: bool) -> None:
    """Print a comparison of predictions, with so many images and classes at most."""
    from seatrial.cli.output.predictions import list_compared, write_compared

    print_json(list_compared(found)) if as_json else print_text(write_compared(found, limit))


def _compare_changes(kind: str, paths: list[Path], spec: "ChangeSpec", layout: Layout, as_json: bool) -> int:
    from seatrial.cli.output.changes import list_changes, write_changes
    from seatrial.workflow.compare.runs import compare_measurements, compare_runs

    if layout is Layout.GUIDE:
        raise UsageError("--format guide is for tables of records", "take --format markdown")
    found = compare_runs(paths, spec) if kind == "run" else compare_measurements(paths, spec)
    _print(write_changes, list_changes, found, layout, as_json)
    return found.verdict.exit_code


def _print_speeds(table: "SpeedTable", layout: Layout, as_json: bool) -> int:
    from seatrial.cli.output.speed import list_speeds, write_speeds

    _print(write_speeds, list_speeds, table, layout, as_json)
    return table.verdict.exit_code if table.verdict else 0


def _compare_trainings(paths: list[Path], allowed: tuple[str, ...], layout: Layout, as_json: bool) -> int:
    from seatrial.cli.output.training import list_trainings, write_trainings
    from seatrial.workflow.compare.speed import compare_trainings

    _print(write_trainings, list_trainings, compare_trainings(paths, allowed), layout, as_json)
    return 0


def _print(
    write: Callable[[Any, Layout], str],
    listed: Callable[[Any], dict[str, Any]],
    found: Any,
    layout: Layout,
    as_json: bool,
) -> None:
    if as_json:
        print_json(listed(found))
    else:
        print_text(write(found, layout))
