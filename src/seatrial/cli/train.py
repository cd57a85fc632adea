"""`seatrial train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_json, print_line, show_progress
from seatrial.cli.train_aliases import translate
from seatrial.cli.train_options import SettingsCommand, given_settings
from seatrial.errors import UsageError
from seatrial.train.distributed.rank import read_place

if TYPE_CHECKING:
    from seatrial.store.records import TrainingRecord
    from seatrial.workflow.train_spec import TrainSpec

TRACKERS = ("tensorboard", "mlflow")
PERFORMANCE = {"epochs": 1, "max_train_steps": 1001, "max_eval_steps": 51}
"""What `--performance` trains unless told otherwise: where the guides' train_performance_1p.sh breaks off."""


class TrainCommand(SettingsCommand):
    """`train`, which understands the flags of the guides' scripts too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take our own words and, translated, theirs."""
        place = read_place()
        ours = translate(args, place.launched)
        if place.first:
            for note in ours.notes:
                print_line("note", note)
        return super().parse_args(ctx, list(ours.words))


def train(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A recipe's name or the path of a card.")],
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="The same as --data.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with train/CLASS/NAME and val/ (and val_label.txt if val/ is flat), or tar shards."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for checkpoint, snapshots and logs.")] = None,
    preset: Annotated[str | None, typer.Option(help="Settings of the card's [presets] of this name.")] = None,
    resume: Annotated[
        str,
        typer.Option(metavar="<auto|path>", help="Go on from the snapshot in --output if there is one, or from FILE."),
    ] = "auto",
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Only validate: --resume FILE, or what was trained.")
    ] = False,
    nproc: Annotated[int, typer.Option(help="Processes on this machine; torchrun runs them.", min=1)] = 1,
    performance: Annotated[bool, typer.Option("--performance", help="Measure the speed of training.")] = False,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Random images, no files.")] = False,
    track: Annotated[str | None, typer.Option(help="Also write tensorboard, mlflow or tensorboard,mlflow.")] = None,
    dllogger: Annotated[bool, typer.Option("--dllogger", help="Also write DLLogger's lines.")] = False,
    guide_format: Annotated[
        bool, typer.Option("--guide-format", help="Also write checkpoint.pth.tar and model_best.pth.tar.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Train from the start, whatever --output holds.")] = False,
    as_json: Json = False,
) -> None:
    """Train a card's network; settings that are not given are the preset's, then the card's. Stopped, it goes on.

    Takes the flags of pytorch/examples and of the Ascend guides' scripts too (docs/train.md).
    """
    from seatrial.workflow.train import train_recipe
    from seatrial.workflow.train_spec import TrainSpec

    settings = given_settings(context)
    spec = TrainSpec(
        recipe=recipe,
        data=_choose_data(folder, data, synthetic),
        output=_need(output),
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
    if read_place().first:
        with show_progress() as progress:
            _print(train_recipe(spec, progress), spec, as_json)
    else:
        train_recipe(spec)


def _print(record: "TrainingRecord", spec: "TrainSpec", as_json: bool) -> None:
    from seatrial.cli.output.training import write_epochs, write_final_result, write_outcome, write_speed
    from seatrial.workflow.train_speed import load_speed

    if spec.performance:
        speed = load_speed(spec.output)
        if as_json:
            print_json(speed.model_dump(mode="json", by_alias=True))
        else:
            print(f"{write_final_result(speed)}\n\n{write_speed(speed)}")
    elif as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    else:
        if record.epochs:
            print(write_epochs(record.epochs))
        print(write_outcome(record, spec.output))


def _refuse_ignored(spec: "TrainSpec") -> None:
    mode = "--evaluate" if spec.evaluate_only else "--performance" if spec.performance else None
    given = {
        "--performance": spec.evaluate_only and spec.performance,
        "--synthetic": spec.evaluate_only and spec.synthetic,
        "--track": bool(spec.track),
        "--dllogger": spec.dllogger,
        "--guide-format": spec.guide_format,
        "--force": spec.force,
    }
    ignored = next((option for option, is_given in given.items() if is_given), None)
    if mode is not None and ignored is not None:
        raise UsageError(f"{ignored} means nothing to {mode}, which trains nothing to keep", "leave one of them out")


def _choose_data(folder: Path | None, data: Path | None, synthetic: bool) -> Path | None:
    if folder is not None and data is not None:
        raise UsageError(f"{folder} and --data both say where the images are", "give one of them")
    if folder is None and data is None and not synthetic:
        raise UsageError("Missing option '--data'", "or --synthetic, for random images")
    if synthetic and (folder or data) is not None:
        raise UsageError(f"--synthetic takes no files, and {data or folder} is not read", "leave one of them out")
    return data or folder


def _need(output: Path | None) -> Path:
    if output is None:
        raise UsageError("Missing option '--output'")
    return output


def _read_trackers(text: str | None) -> tuple[str, ...]:
    from seatrial.strict import suggest

    found = tuple(dict.fromkeys(part.strip() for part in text.split(","))) if text else ()
    for name in found:
        if name not in TRACKERS:
            raise UsageError(f"--track {name}: there is no such tracker", suggest(name, list(TRACKERS)))
    return found
