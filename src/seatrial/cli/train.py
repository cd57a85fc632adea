"""`seatrial train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli.options import Classes, ImageSize, Json, Reference
from seatrial.cli.output.progress import print_json, print_line, show_progress
from seatrial.cli.train_aliases import translate
from seatrial.cli.train_options import SettingsCommand, given_settings
from seatrial.errors import UsageError
from seatrial.train.distributed.rank import read_rank

if TYPE_CHECKING:
    from seatrial.store.training import TrainingRecord
    from seatrial.workflow.train_spec import TrainSpec

TRACKERS = ("tensorboard", "mlflow")
PERFORMANCE = {"epochs": 1, "max_train_steps": 1001, "max_eval_steps": 51}
"""Defaults of `--performance`: where the guides' train_performance_1p.sh stops."""


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
    from seatrial.workflow.train import train_recipe
    from seatrial.workflow.train_spec import TrainSpec

    if output is None:
        raise UsageError("Missing option '--output'", "give a folder for checkpoint, snapshots and logs")
    settings = given_settings(context)
    spec = TrainSpec(
        recipe=recipe,
        data=_choose_data(folder, data, synthetic),
        output=output,
        image_size=image_size,
        classes=classes,
        settings={**PERFORMANCE, **settings} if performance else settings,
        preset=preset,
        force=force,
        resume="auto" if resume == "auto" else Path(resume),
        nproc=nproc,
        evaluate_only=evaluate,
        performance=performance,
        synthetic=synthetic,
        track=_read_trackers(track),
        dllogger=dllogger,
        guide_format=guide_format,
    )
    _refuse_ignored(spec)
    if read_rank().is_main:
        with show_progress() as progress:
            _print(train_recipe(spec, progress), spec, as_json)
    else:
        train_recipe(spec)


def _print(record: "TrainingRecord", spec: "TrainSpec", as_json: bool) -> None:
    from seatrial.cli.output.training import write_epochs, write_outcome, write_speed, write_speed_result
    from seatrial.store.training import TrainingSpeedRecord
    from seatrial.workflow.train_speed import SPEED

    result = _find_guide_result(record, spec)
    if spec.performance:
        speed = TrainingSpeedRecord.load(spec.output / SPEED)
        if as_json:
            print_json(speed.model_dump(mode="json", by_alias=True))
        else:
            print(f"{result or write_speed_result(speed)}\n\n{write_speed(speed)}")
    elif as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    else:
        if record.epochs:
            print(write_epochs(record.epochs))
        print(write_outcome(record, spec.output))
        if result:
            print(result)


def _find_guide_result(record: "TrainingRecord", spec: "TrainSpec") -> str:
    """What the guides' script prints in the end; empty where its log was not asked for, or is of an earlier version."""
    from seatrial.cli.output.training import write_case_result
    from seatrial.train.tracking.guide_log import Case, read_case

    if not spec.guide_format:
        return ""
    case = Case.of(record, "eval" if spec.evaluate_only else "perf" if spec.performance else "train")
    path = spec.output / case.file_name
    return write_case_result(read_case(path), record.validation) if path.is_file() else ""


def _refuse_ignored(spec: "TrainSpec") -> None:
    mode = "--evaluate" if spec.evaluate_only else "--performance" if spec.performance else None
    given = {
        "--performance": spec.evaluate_only and spec.performance,
        "--synthetic": spec.evaluate_only and spec.synthetic,
        "--track": bool(spec.track),
        "--dllogger": spec.dllogger,
        "--force": spec.force,
    }
    ignored = next((option for option, is_given in given.items() if is_given), None)
    if mode is not None and ignored is not None:
        raise UsageError(f"{ignored} has no effect with {mode}", "leave one of them out")


def _choose_data(folder: Path | None, data: Path | None, synthetic: bool) -> Path | None:
    if folder is not None and data is not None:
        raise UsageError(f"the data folder is given twice: {folder} and --data {data}", "give it once")
    if folder is None and data is None and not synthetic:
        raise UsageError("Missing option '--data'", "give a folder, or --synthetic for random images")
    if synthetic and (folder or data) is not None:
        raise UsageError(f"--synthetic does not read {data or folder}", "leave one of them out")
    return data or folder


def _read_trackers(text: str | None) -> tuple[str, ...]:
    from seatrial.strict import check_name

    names = tuple(dict.fromkeys(part.strip() for part in text.split(","))) if text else ()
    for name in names:
        check_name(name, TRACKERS, f"--track {name}: unknown tracker")
    return names
