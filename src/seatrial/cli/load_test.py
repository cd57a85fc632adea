"""`seatrial bench --scenario`: its options, and what it prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.import_log import print_imported
from seatrial.cli.output.progress import print_json, show_progress
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.store.load_test import LoadTestRecord, OwnRun

Scenario = Annotated[
    str | None,
    typer.Option("--scenario", help="Let MLPerf's LoadGen ask: offline, single-stream, multi-stream or server."),
]
Preset = Annotated[
    str | None, typer.Option("--preset", help="With --scenario: quick, or mlperf for MLPerf's durations and counts.")
]
TargetQps = Annotated[
    float | None, typer.Option("--target-qps", help="Images a second that a server is sent.", min=0.001)
]
TargetLatency = Annotated[
    float | None, typer.Option("--target-latency-ms", help="What 99 % of a server's answers must keep.", min=0.001)
]


@dataclass(frozen=True, slots=True)
class LoadWords:
    """What was said on the command line that concerns a load."""

    scenario: str | None
    preset: str | None
    target_qps: float | None
    target_latency_ms: float | None
    duration_s: float
    min_samples: int
    processes: int
    streams: int | None
    unheard: tuple[str, ...] = ()
    """Options that were given and mean nothing to a load."""

    def is_load(self) -> bool:
        """Whether LoadGen is asked for.

        Raises:
            UsageError: an option would be ignored.
        """
        if self.scenario is not None and self.processes > 1:
            raise UsageError("--scenario runs in one process", "leave --processes out")
        if self.scenario is not None and self.unheard:
            raise UsageError(f"{self.unheard[0]} means nothing to --scenario", "leave it out")
        options = {
            "--preset": self.preset,
            "--target-qps": self.target_qps,
            "--target-latency-ms": self.target_latency_ms,
        }
        stray = [name for name, value in options.items() if value is not None]
        if self.scenario is None and stray:
            raise UsageError(f"{stray[0]} is for a load of LoadGen's", "give --scenario too")
        return self.scenario is not None


def print_load(
    folder: Path, words: LoadWords, batch_sizes: tuple[int, ...], output: Path, images: Path | None, as_json: bool
) -> int:
    """Let LoadGen ask the engine in `folder`, tell what it found, and return the exit code."""
    from seatrial.store.measurement import check_output
    from seatrial.workflow.load_test import LoadSpec, judge_load, load_engine

    check_output(output)
    assert words.scenario is not None
    spec = LoadSpec(
        words.scenario,
        words.preset or "quick",
        batch_sizes,
        words.duration_s,
        words.min_samples,
        words.streams,
        words.target_qps,
        words.target_latency_ms,
    )
    with show_progress() as progress:
        record = load_engine(folder, spec, output, images, progress)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    else:
        print_imported(record, output)
        print(f"LoadGen: {_describe_times(record, record.own)}; {_describe_validity(record.own)}")
    return judge_load(record.own)


def _describe_times(record: "LoadTestRecord", run: "OwnRun") -> str:
    """The percentile that MLPerf judges the scenario by."""
    share = "90" if run.scenario == "single-stream" else "99"
    latency = record.points[0].latency
    if latency is None or share not in latency.percentiles_ms:
        return run.scenario
    target = f" of the {run.target_latency_ms:g} ms allowed" if run.target_latency_ms else ""
    return f"{run.scenario}, {share} % of the queries within {latency.percentiles_ms[share]:.2f} ms{target}"


def _describe_validity(run: "OwnRun") -> str:
    return f"INVALID: {', '.join(run.unmet)}" if run.unmet else "VALID"
