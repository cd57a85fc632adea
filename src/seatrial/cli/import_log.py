"""`seatrial import-log`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.api.values import read_sizes
from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_json, print_lines, print_table, show_progress, shows_progress

if TYPE_CHECKING:
    from seatrial.store.imported import ImportedPoint, ReportedRecord

NOT_STATED = "not stated"


@shows_progress
def import_log(
    tool: Annotated[
        str,
        typer.Argument(
            help="trtexec, ais_bench, benchmark, benchmark_app, onnxruntime_perf_test, timm, mlperf, or auto.",
        ),
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Logs of one tool on one device.")],
    output: Annotated[Path, typer.Option("--output", help="The record to write (.json).")],
    device: Annotated[str | None, typer.Option(help="Name of the device, such as 310P; default: the log's.")] = None,
    chips_per_card: Annotated[
        int | None, typer.Option(help="Chips on a card: 4 for a 310, whose logs are one chip's.", min=1)
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="For logs that do not state it: one number, or one for each FILE.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name of the network; chooses one where a log has several (timm: NAME@SIZE).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read other tools' benchmark logs into a record, with the scope and the line of each figure."""
    from seatrial.workflow.import_log import ImportSpec, import_logs

    sizes = read_sizes(batch_size) if batch_size else ()
    spec = ImportSpec(tool, tuple(files), sizes, device, model, chips_per_card)
    with show_progress() as progress:
        record = import_logs(spec, output, progress)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
        return
    print_imported(record, output)


def print_imported(record: "ReportedRecord", output: Path) -> None:
    """Print a table of the figures with their lines, and the reasons to doubt them."""
    version = f" {record.tool_version}" if record.tool_version else ""
    facts = (
        f"{record.device or NOT_STATED}, precision {record.precision or NOT_STATED}, model {record.model or NOT_STATED}"
    )
    print_lines(f"{output}: {record.tool}{version}; device {facts}")
    header = ["read from", "batch", "scope", "images/s", "a card", "mean ms", "median ms", "runs"]
    print_table(header, [_write_row(point) for point in record.points], left=(0, 2))
    for scope, because in dict.fromkeys((point.scope, point.scope_because) for point in record.points):
        print_lines(f"scope {scope}: {because}")
    for doubt in record.doubts:
        print_lines(f"doubt: {doubt}")


def _write_row(point: "ImportedPoint") -> list[str]:
    latency = point.latency
    figures = (
        point.images_per_s,
        point.images_per_s_card,
        latency and latency.mean_ms,
        latency and latency.median_ms,
    )
    rates = ["-" if figure is None else f"{figure:.1f}" for figure in figures[:2]]
    times = ["-" if figure is None else f"{figure:.3f}" for figure in figures[2:]]
    where = f"{point.file}:{point.lines['images_per_s'][0]}"
    runs = "-" if latency is None or latency.count is None else str(latency.count)
    return [where, str(point.batch_size or "-"), point.scope, *rates, *times, runs]
