"""`seatrial choose`."""

from inspect import signature
from pathlib import Path
from typing import Annotated

import typer

from seatrial import api
from seatrial.cli.completion import complete_engines, complete_goal, complete_references
from seatrial.cli.options import (
    Checkpoint,
    CheckpointKey,
    Classes,
    Fetch,
    ImageSize,
    Json,
    Labels,
    Like,
    NoLabels,
    StripPrefix,
    WhichWeights,
)
from seatrial.cli.output.progress import print_json, print_text, show_progress, shows_progress


@shows_progress
def choose(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|REFERENCE",
            help="A run folder, or a model reference, which takes --images and --output.",
            autocompletion=complete_references,
        ),
    ],
    goal: Annotated[
        str,
        typer.Option(
            help="What is to be best: throughput, latency=10ms@p99 (images/s within that) or size.",
            autocompletion=complete_goal,
        ),
    ],
    max_drop_pp: Annotated[
        float | None, typer.Option(help="Points that top-1 may fall; default: the card's.", min=0)
    ] = None,
    engines: Annotated[
        str | None,
        typer.Option(
            help="NAME[:PRECISION][@DEVICE], comma separated; of a name alone every precision. Default: all engines.",
            autocompletion=complete_engines,
        ),
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Batch sizes to try; default: 1,4,8,16, or that of a graph with a fixed one.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration images for int8; default: the run's, else there is no int8.")
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="Stop after this long, such as 10m; the same command goes on from there.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Of a model reference: the folder of images.")] = None,
    labels: Labels = None,
    no_labels: NoLabels = False,
    checkpoint: Checkpoint = None,
    output: Annotated[Path | None, typer.Option(help="Of a model reference: the run folder to begin.")] = None,
    image_size: ImageSize = None,
    classes: Classes = None,
    like: Like = None,
    fetch: Fetch = False,
    weights: WhichWeights = None,
    checkpoint_key: CheckpointKey = None,
    strip_prefix: StripPrefix = None,
    as_json: Json = False,
) -> int:
    """Find the engine, precision, batch size and streams that are best among those that certainly keep the accuracy.

    Exit code 3 where no candidate keeps it, 4 where none keeps the latency, 7 where that stays open.
    """
    from seatrial.report.choice import describe_choice

    values = {name: context.params[name] for name in signature(api.choose).parameters if name in context.params}
    with show_progress() as progress:
        done = api.choose(**values, progress=progress)
    print_json(done.record) if as_json else print_text(describe_choice(done.record, done.path))
    return done.record.exit_code
