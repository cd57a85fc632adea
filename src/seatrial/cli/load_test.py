"""`seatrial load-test`: MLPerf's LoadGen as the clock."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.api.values import read_sizes
from seatrial.cli.bench import Record, Streams
from seatrial.cli.import_log import print_imported
from seatrial.cli.options import Folder, Json
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress

if TYPE_CHECKING:
    from seatrial.store.imported import LoadTestRecord, LoadTestRun


@shows_progress
def load_test(
    folder: Folder,
    output: Record,
    scenario: Annotated[str, typer.Option(help="offline, single-stream, multi-stream or server.")],
    preset: Annotated[str, typer.Option(help="quick, or mlperf for MLPerf's durations and counts.")] = "quick",
    batch_size: Annotated[
        str, typer.Option(help="Largest batch; of several, the largest that a query fills.")
    ] = "1,4,8,16",
    images: Annotated[Path | None, typer.Option(help="Folder of input images; default: random bytes.")] = None,
    streams: Streams = None,
    duration: Annotated[float, typer.Option(help="Least seconds of the run.", min=0.01)] = 10.0,
    min_samples: Annotated[
        int, typer.Option(help="Least number of queries; in scenario offline, of images.", min=1)
    ] = 50,
    target_qps: Annotated[float | None, typer.Option(help="Images per second sent to a server.", min=0.001)] = None,
    target_latency_ms: Annotated[
        float | None, typer.Option(help="Latency that 99 % of a server's queries must keep; default: 15.", min=0.001)
    ] = None,
    as_json: Json = False,
) -> int:
    """Load-test an engine with MLPerf's LoadGen; exit code 0, 4 or 7."""
    from seatrial.store.imported import check_output
    from seatrial.workflow.load_test import LoadTestSpec, judge_load_test, run_load_test

    check_output(output)
    sizes = read_sizes(batch_size)
    spec = LoadTestSpec(scenario, preset, sizes, duration, min_samples, streams, target_qps, target_latency_ms)
    with show_progress() as progress:
        record = run_load_test(folder, spec, output, images, progress)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    else:
        print_imported(record, output)
        print_lines(f"LoadGen: {_describe_times(record, record.own)}; {_describe_validity(record.own)}")
    return judge_load_test(record.own)


def _describe_times(record: "LoadTestRecord", run: "LoadTestRun") -> str:
    """The percentile that MLPerf judges the scenario by."""
    share = "90" if run.scenario == "single-stream" else "99"
    latency = record.points[0].latency
    if latency is None or share not in latency.percentiles_ms:
        return run.scenario
    target = f" of the {run.target_latency_ms:g} ms allowed" if run.target_latency_ms else ""
    return f"{run.scenario}, {share} % of the queries within {latency.percentiles_ms[share]:.2f} ms{target}"


def _describe_validity(run: "LoadTestRun") -> str:
    return f"INVALID: {', '.join(run.unmet)}" if run.unmet else "VALID"
