"""`seatrial compare`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial import api
from seatrial.api.judge import detect_compared
from seatrial.cli.options import Gate, Json
from seatrial.cli.output.progress import print_json, print_text, show_progress, shows_progress
from seatrial.cli.output.tables import Layout
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.workflow.compare.predictions import PredictionsComparison

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


@shows_progress
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
    detect_compared(paths, {"--limit": limit, "--format": layout, "--max-slower-pct": max_slower_pct})
    with show_progress() as progress:
        done = api.compare(
            *paths,
            baseline=baseline,
            gate=gate,
            allow=allow,
            scope=scope,
            per=per,
            max_slower_pct=max_slower_pct,
            gate_pp=gate_pp,
            labels=labels,
            progress=progress,
        )
    _print_result(done, 10 if limit is None else limit, layout or Layout.TABLE, as_json)
    return done.verdict.exit_code if done.verdict else 0


def _print_result(done: api.ComparisonResult, limit: int, layout: Layout, as_json: bool) -> None:
    from seatrial.compare.regression import Changes

    found: Any = done.found
    if done.kind in ("predictions", "accuracy record"):
        print_predictions(found, limit, as_json)
    elif done.kind == "training speed":
        from seatrial.cli.output.training import list_trainings, write_trainings

        _print(write_trainings, list_trainings, found, layout, as_json)
    elif isinstance(found, Changes):
        from seatrial.cli.output.changes import list_changes, write_changes

        if layout is Layout.GUIDE:
            raise UsageError("--format guide is for tables of records", "take --format markdown")
        _print(write_changes, list_changes, found, layout, as_json)
    else:
        from seatrial.cli.output.speed import list_speeds, write_speeds

        _print(write_speeds, list_speeds, found, layout, as_json)


def print_predictions(found: "PredictionsComparison", limit: int, as_json: bool) -> None:
    """Print a comparison of predictions, with so many images and classes at most."""
    from seatrial.cli.output.predictions import list_compared, write_compared

    print_json(list_compared(found)) if as_json else print_text(write_compared(found, limit))


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
