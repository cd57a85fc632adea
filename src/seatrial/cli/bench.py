"""`seatrial bench`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial import api
from seatrial.cli.options import Folder, Json
from seatrial.cli.output.progress import print_grid, print_json, print_lines, show_progress, shows_progress
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.store.measurement import Measurement, Point, Scope

Record = Annotated[Path, typer.Option("--output", help="The record to write (.json).")]
Images = Annotated[
    Path | None, typer.Option(help="Folder of input images; default: those of the run around FOLDER, or random bytes.")
]
Scopes = Annotated[
    str | None,
    typer.Option(help="device: computing alone; host: array in to logits out (default); e2e: JPEG files to top-k."),
]
Streams = Annotated[
    int | None, typer.Option(help="Batches in the engine at a time; default: what tuning found, or 1.", min=1)
]
Duration = Annotated[float | None, typer.Option(help="Least seconds per point and process; default: 5.", min=0.01)]
Loop = Annotated[
    int | None, typer.Option(help="Runs per point, with the guides' summary; one process by default.", min=1)
]
Samples = Annotated[int | None, typer.Option(help="Least samples per process; default: 50.", min=1)]
Processes = Annotated[int | None, typer.Option(help="Fresh processes for each point; default: 5.", min=1)]
Budget = Annotated[
    float | None, typer.Option(help="Also print the best batch size whose 99th percentile is within this.", min=0)
]
Stop = Annotated[
    bool, typer.Option("--stop-when-saturated", help="Skip larger batches once two brought no more images/s.")
]


def _refuse_load_test(value: str | None) -> None:
    if value is not None:
        raise UsageError("load tests have a verb of their own", "give these options to `seatrial load-test`")


Moved = Annotated[
    str | None,
    typer.Option(
        "--scenario", "--preset", "--target-qps", "--target-latency-ms", hidden=True, callback=_refuse_load_test
    ),
]


@shows_progress
def bench(
    folder: Folder,
    output: Record,
    batch_size: Annotated[str, typer.Option(help="Batch sizes, such as 1,4,8,16,32,64.")] = "1,4,8,16",
    scope: Scopes = None,
    images: Images = None,
    streams: Streams = None,
    duration: Duration = None,
    loop: Loop = None,
    min_samples: Samples = None,
    processes: Processes = None,
    latency_budget_ms: Budget = None,
    stop_when_saturated: Stop = False,
    force: Annotated[bool, typer.Option("--force", help="Measure again what this machine has measured.")] = False,
    moved: Moved = None,
    as_json: Json = False,
) -> None:
    """Measure an engine's speed: every sample stored, fresh processes, outputs checked, reasons to doubt listed."""
    with show_progress() as progress:
        done = api.bench(
            folder,
            output=output,
            batch_size=batch_size,
            scope=scope,
            images=images,
            streams=streams,
            duration=duration,
            loop=loop,
            min_samples=min_samples,
            processes=processes,
            stop_when_saturated=stop_when_saturated,
            force=force,
            progress=progress,
        )
    record = done.record
    if as_json:
        print_json({**record.model_dump(mode="json", by_alias=True), "figures": list(_list_figures(record))})
        return
    for line in done.guide_lines:
        print_lines(line)
    _print_record(record, done.scopes, latency_budget_ms)


def _print_record(record: "Measurement", scopes: "tuple[Scope, ...]", budget_ms: float | None) -> None:
    from seatrial.report.doubts import merge_doubts

    for scope in scopes:
        _print_scope(record, scope, budget_ms, len(scopes) > 1)
    print_lines(_describe_costs(record.points, record.compile_s))
    for line in _describe_checks(record.points):
        print_lines(line)
    for doubt in merge_doubts(record.doubts):
        print_lines(f"doubt: {doubt}")


def _print_scope(record: "Measurement", scope: "Scope", budget_ms: float | None, named: bool) -> None:
    from seatrial.api.tables import list_meters, tabulate_speeds
    from seatrial.results.energy import METERS
    from seatrial.results.speed import explain_unmeasured, find_best, measure_speeds

    if named:
        print_lines(f"scope {scope}")
    speeds = measure_speeds(record, scope)
    if speeds:
        print_grid(tabulate_speeds(speeds))
        for meter in list_meters(speeds):
            print_lines(f"energy of {meter}: {METERS[meter]}")
    for absent in record.unmeasured:
        if absent.scope == scope:
            print_lines(explain_unmeasured(absent, record))
    best = find_best(speeds)
    if best is not None:
        print_lines(f"best: batch {best.batch}, {best.images_per_s:.1f} images/s")
    if budget_ms is not None:
        within = find_best(speeds, budget_ms)
        text = f"batch {within.batch}, {within.images_per_s:.1f} images/s" if within else "no batch size"
        print_lines(f"best with 99 % of its batches within {budget_ms:g} ms: {text}")


def _list_figures(record: "Measurement") -> Iterator[dict[str, Any]]:
    """The figures of the table, by name."""
    from seatrial.results.speed import measure_speeds

    for scope in dict.fromkeys(point.scope for point in record.points):
        for speed in measure_speeds(record, scope):
            bounds = speed.rate.bounds
            interval = {"low": bounds[0], "high": bounds[1], "processes": speed.processes} if bounds else None
            yield {
                "scope": scope,
                "streams": speed.streams,
                **asdict(speed.latency),
                "interval": interval,
                "joules_per_image": dict(speed.joules_per_image),
            }


def _describe_costs(points: "tuple[Point, ...]", compile_s: float | None) -> str:
    """Other costs of the engine: medians, and the largest memory."""
    import statistics

    load_s = statistics.median(point.load_s for point in points)
    first_ms = statistics.median(point.first_inference_ms for point in points)
    parts = [f"compiled in {compile_s:.3g} s"] if compile_s is not None else []
    parts += [f"loaded in {load_s:.3g} s", f"first run {first_ms:.3g} ms"]
    parts.append(f"memory up to {max(point.peak_rss_bytes for point in points) / 2**20:,.0f} MiB")
    on_device = [point.device_memory_bytes for point in points if point.device_memory_bytes is not None]
    parts += [f"on the device {max(on_device) / 2**20:,.0f} MiB"] if on_device else []
    return ", ".join(parts)


def _describe_checks(points: "tuple[Point, ...]") -> Iterator[str]:
    """The checks that the timed work was done."""
    import statistics

    checked = sum(point.outputs_checked or 0 for point in points)
    off = max((point.outputs_error or 0.0 for point in points), default=0.0)
    ratios = [f / r for point in points for f, r in zip(point.fresh_ms, point.repeated_ms, strict=True)]
    if checked:
        yield f"checked: {checked} timed outputs are those of untimed runs (off by up to {off:.1g})"
    if ratios:
        ratio = statistics.median(ratios)
        yield f"checked: a repeated batch runs {ratio:.2f} times as fast as a new one ({len(ratios)} pairs)"
