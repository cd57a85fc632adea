"""`seatrial run`, `report` and `demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial import api
from seatrial.api.trial import make_run_spec
from seatrial.cli.completion import complete_engines, complete_form, complete_language
from seatrial.cli.options import (
    Checkpoint,
    CheckpointKey,
    Classes,
    Fetch,
    Gate,
    Images,
    ImageSize,
    Json,
    Labels,
    Like,
    NoLabels,
    Output,
    Reference,
    StripPrefix,
    WhichWeights,
)
from seatrial.cli.output.progress import print_file, print_json, print_lines, print_text, show_progress, shows_progress
from seatrial.errors import ExitCode

if TYPE_CHECKING:
    from seatrial.results.run import Run
    from seatrial.workflow.run_spec import RunSpec

Calibration = Annotated[
    Path | None,
    typer.Option(help="Calibration images for int8: a folder or a list, none of them in --images."),
]


def _take_config(context: typer.Context, path: Path | None) -> Path | None:
    from seatrial.cli.run_config import take_config

    return take_config(context, path, run)


Config = Annotated[
    Path | None,
    typer.Option(
        help="TOML file of these options, the reference as recipe; options of the command line go before it.",
        is_eager=True,
        callback=_take_config,
    ),
]


@shows_progress
def run(
    context: typer.Context,
    recipe: Reference,
    images: Images,
    output: Output,
    labels: Labels = None,
    no_labels: NoLabels = False,
    checkpoint: Checkpoint = None,
    engines: Annotated[
        str,
        typer.Option(
            help="NAME[:PRECISION][@DEVICE], comma separated; the reference is torch, or the ONNX file.",
            autocompletion=complete_engines,
        ),
    ] = "onnxruntime,openvino",
    batch_size: Annotated[
        str | None,
        typer.Option(help="Batch sizes to measure; default: 1,4,8,16, or that of an ONNX file with a fixed one."),
    ] = None,
    bench_duration: Annotated[float, typer.Option(help="Most seconds to time each point.", min=0.01)] = 10.0,
    bench_precision: Annotated[
        float,
        typer.Option(
            help="Stop timing a point when half its interval is within so many % of its rate; 0: never.", min=0, max=100
        ),
    ] = 2.5,
    bench_samples: Annotated[int, typer.Option(help="Least samples of each point.", min=1)] = 50,
    evaluate_batch_size: Annotated[int, typer.Option(help="Batch size of the evaluation.", min=1)] = 16,
    opset: Annotated[int | None, typer.Option(help="ONNX opset; default: the card's.")] = None,
    calibration: Calibration = None,
    measure_again: Annotated[
        bool, typer.Option("--measure-again", help="Measure the speed again, even where a record exists.")
    ] = False,
    image_size: ImageSize = None,
    classes: Classes = None,
    like: Like = None,
    fetch: Fetch = False,
    weights: WhichWeights = None,
    checkpoint_key: CheckpointKey = None,
    strip_prefix: StripPrefix = None,
    gate: Gate = None,
    time_budget: Annotated[
        str | None,
        typer.Option(help="Measure as much as this allows, such as 10m; the evaluation is always done whole."),
    ] = None,
    config: Config = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the --config file that gives this run, and stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, what is done, and how long it takes, and stop.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Put a checkpoint or an ONNX file through the whole trial: graph, engines, accuracy, speed, verdict, report."""
    from seatrial.cli.run_config import list_config, settle_opposites, write_config

    values = settle_opposites(context)
    if print_config:
        print_json(list_config(values)) if as_json else print_text(write_config(values).rstrip())
        return ExitCode.PASS
    if dry_run:
        return print_plan(make_run_spec(values), as_json)
    with show_progress() as progress:
        done = api.run(**values, progress=progress).run
    return print_verdict(done, as_json)


def print_plan(spec: "RunSpec", as_json: bool) -> int:
    """Print what a run would do; nothing is done."""
    from seatrial.cli.output.plan import list_plan, write_plan
    from seatrial.workflow.run_plan import plan_run
    from seatrial.workflow.time_budget import fit_budget

    with show_progress() as progress:
        plan = plan_run(spec, progress)
        if spec.time_budget_s is not None:
            plan = plan_run(fit_budget(plan, progress), progress)
    print_json(list_plan(plan)) if as_json else print_text(write_plan(plan))
    return ExitCode.PASS


@shows_progress
def report(
    folder: Annotated[Path, typer.Argument(help="A run folder.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Print this form: html, md, guide, card, pr, junit, csv, json or badge (docs/report.md).",
            autocompletion=complete_form,
        ),
    ] = None,
    language: Annotated[str, typer.Option(help="Of the sentences: en or zh.", autocompletion=complete_language)] = "en",
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the form to this file instead of printing it.")
    ] = None,
) -> int:
    """Write report.html and report.md of a run, or print another form of it; exit code 7 where it is not judged."""
    from seatrial.report.headline import write_verdict
    from seatrial.report.language import retell, speaking

    with show_progress() as progress:
        done = api.report(folder, format=form, language=language, output=output, progress=progress)
    if done.text is None:
        with speaking(language):
            verdict = retell(write_verdict(done.run))
        print_lines(*done.files, verdict)
    elif output is None:
        print_file(done.text)
    return ExitCode.INCONCLUSIVE if done.verdict is None else ExitCode.PASS


@shows_progress
def demo(
    output: Annotated[Path, typer.Option("--output", help="The run folder.")] = Path("demo-run"),
    force: Annotated[bool, typer.Option("--force", help="Train again, whatever is in --output.")] = False,
    as_json: Json = False,
) -> int:
    """Run the whole trial on handwritten digits: make data, train, export, compile, evaluate, bench, report."""
    from seatrial.extras import check_demo

    check_demo()
    from seatrial.workflow.demo import run_demo

    with show_progress() as progress:
        done = run_demo(output, progress, force)
    return print_verdict(done, as_json)


def print_verdict(run: "Run", as_json: bool) -> int:
    """Print a judged run's tables and, last, its verdict; returns the verdict's exit code."""
    from seatrial.report.terminal import describe_run

    assert run.verdict is not None
    print_json(run.verdict) if as_json else print_text(describe_run(run))
    return run.verdict.exit_code
