"""`seatrial train`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seatrial import api
from seatrial.cli.options import Classes, ImageSize, Json, Reference
from seatrial.cli.output.progress import print_grid, print_json, print_line, print_text, show_progress, shows_progress
from seatrial.cli.train_aliases import translate
from seatrial.cli.train_options import SettingsCommand, given_settings
from seatrial.errors import UsageError
from seatrial.train.distributed.rank import read_rank


class TrainCommand(SettingsCommand):
    """`train`, which accepts the flags of the guides' scripts too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse options after the flags of other scripts were translated."""
        rank = read_rank()
        translation = translate(args, rank.launched)
        if rank.is_main:
            for note in translation.notes:
                print_line("note", note)
        return super().parse_args(ctx, list(translation.words))


@shows_progress
def train(
    context: typer.Context,
    recipe: Reference,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Same as --data.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with train and val: class folders, images with a label file, tar archives or packs."),
    ] = None,
    image_size: ImageSize = None,
    classes: Classes = None,
    output: Annotated[Path | None, typer.Option(help="Folder for checkpoint, snapshots and logs.")] = None,
    preset: Annotated[str | None, typer.Option(help="Name of one of the card's presets.")] = None,
    resume: Annotated[
        str,
        typer.Option(
            metavar="<auto|path>", help="Snapshot or checkpoint to start from; auto: that in --output, if any."
        ),
    ] = "auto",
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Only validate: the checkpoint in --output, or --resume FILE.")
    ] = False,
    nproc: Annotated[int, typer.Option(help="Processes to start on this machine.", min=1)] = 1,
    performance: Annotated[bool, typer.Option("--performance", help="Only measure the speed of training.")] = False,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Train on random images instead of files.")] = False,
    track: Annotated[str | None, typer.Option(help="Also log to tensorboard, mlflow or tensorboard,mlflow.")] = None,
    dllogger: Annotated[bool, typer.Option("--dllogger", help="Also log in the format of NVIDIA's DLLogger.")] = False,
    guide_format: Annotated[
        bool,
        typer.Option("--guide-format", help="Also write the guides' checkpoint.pth.tar and logs."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Train from the start; overwrites --output.")] = False,
    as_json: Json = False,
) -> None:
    """Train a card's network; a stopped training resumes. An option overrides the preset, the preset the card.

    Accepts the flags of pytorch/examples and of the Ascend guides' scripts too (docs/train.md).
    """
    if output is None:
        raise UsageError("Missing option '--output'", "give a folder for checkpoint, snapshots and logs")
    if folder is not None and data is not None:
        raise UsageError(f"the data folder is given twice: {folder} and --data {data}", "give it once")
    is_main = read_rank().is_main
    with show_progress() if is_main else nullcontext() as progress:
        done = api.train(
            recipe,
            output=output,
            data=data or folder,
            image_size=image_size,
            classes=classes,
            preset=preset,
            resume=resume,
            evaluate=evaluate,
            nproc=nproc,
            performance=performance,
            synthetic=synthetic,
            track=track,
            dllogger=dllogger,
            guide_format=guide_format,
            force=force,
            progress=progress,
            **given_settings(context),
        )
    if is_main:
        mode: Literal["train", "eval", "perf"] = "eval" if evaluate else "perf" if performance else "train"
        _print(done, _find_guide_result(done, mode) if guide_format else "", as_json)


def _print(done: api.TrainResult, guide_result: str, as_json: bool) -> None:
    from seatrial.api.tables import tabulate_epochs
    from seatrial.cli.output.training import write_outcome, write_speed, write_speed_result

    record, speed = done.record, done.speed
    if speed is not None:
        if as_json:
            print_json(speed.model_dump(mode="json", by_alias=True))
        else:
            print_text(f"{guide_result or write_speed_result(speed)}\n\n{write_speed(speed)}")
    elif as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    else:
        if record.epochs:
            print_grid(tabulate_epochs(record.epochs))
        print_text(write_outcome(record, done.folder))
        if guide_result:
            print_text(guide_result)


def _find_guide_result(done: api.TrainResult, mode: Literal["train", "eval", "perf"]) -> str:
    """What the guides' script prints in the end; empty where its log is of an earlier version."""
    from seatrial.cli.output.training import write_case_result
    from seatrial.train.tracking.guide_log import Case, read_case

    path = done.folder / Case.of(done.record, mode).file_name
    return write_case_result(read_case(path), done.record.validation) if path.is_file() else ""
