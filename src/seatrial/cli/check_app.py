"""`seatrial check-app`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Checkpoint, ImageSize, Json, Like, Output
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress

app = typer.Typer(
    help="Is your program the network that passed? A kit of images, and what your program does otherwise.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command()
@shows_progress
def kit(
    source: Annotated[str, typer.Argument(metavar="REF|RUN", help="Model reference, or a folder of `seatrial run`.")],
    output: Output,
    checkpoint: Checkpoint = None,
    image_size: ImageSize = None,
    like: Like = None,
) -> None:
    """Write 32 images that tell faults apart, with the right pixels, tensors and, with weights, logits of each."""
    from seatrial.workflow.check_app import KitSpec, make_kit

    with show_progress() as progress:
        made = make_kit(KitSpec(source, output, checkpoint, image_size, like), progress)
    has = "pixels, tensors and logits" if made.outputs else "pixels and tensors (no logits: give --checkpoint or a run)"
    print_lines(f"{output}: {len(made.images)} images with {has}; {output / 'README.md'} says what to do")


@app.command()
@shows_progress
def judge(
    folder: Annotated[Path, typer.Argument(metavar="KIT", help="A folder that `seatrial check-app kit` wrote.")],
    predictions: Annotated[
        Path, typer.Argument(help="What your program wrote: a folder of .npy or .bin, or .npy, .bin, .json, .csv.")
    ],
    tolerance: Annotated[float, typer.Option(help="Levels of 255 by which a value may lie off.")] = 2.0,
    images: Annotated[
        Path | None, typer.Option("--images", help="Labelled images of yours: what it costs in top-1.")
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="Label file; default: class folders.")] = None,
    limit: Annotated[int, typer.Option(help="Of --images at most, evenly spaced.", min=1)] = 256,
    output: Annotated[Path | None, typer.Option("--output", help="Write the judgement to this JSON file.")] = None,
    as_json: Json = False,
) -> int:
    """Name the first step at which your program is not the card, and how much it matters.

    Exit code 0 if it is the same, 3 if it differs, 7 if that cannot be told.
    """
    from seatrial.workflow.check_app import JudgeSpec, judge_app

    with show_progress() as progress:
        judged = judge_app(JudgeSpec(folder, predictions, tolerance, images, labels, limit), progress)
    if output is not None:
        judged.save(output)
    if as_json:
        print_json(judged.model_dump(mode="json", by_alias=True))
        return judged.exit_code
    print_lines(judged.conclusion)
    if judged.changed is not None:
        print_lines(f"first classes that change: {judged.changed} of {judged.images}")
    if judged.top1_before is not None and judged.top1_after is not None:
        points = 100 * (judged.top1_after - judged.top1_before)
        print_lines(
            f"top-1 on {judged.labelled} images of yours: {judged.top1_before:.2%} as the card says, "
            f"{judged.top1_after:.2%} as your program does ({points:+.2f} points)"
        )
    return judged.exit_code
