"""A card's network trained: `train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.api.results import TrainResult
from seatrial.api.values import Names, Place, check_numbers, find_path, list_names
from seatrial.errors import UsageError
from seatrial.extras import naming_extras
from seatrial.progress import Progress, silent

if TYPE_CHECKING:
    from seatrial.workflow.train_spec import TrainSpec

TRACKERS = ("tensorboard", "mlflow")
PERFORMANCE = {"epochs": 1, "max_train_steps": 1001, "max_eval_steps": 51}
"""Defaults of `performance`: where the guides' train_performance_1p.sh stops."""


@naming_extras()
def train(
    recipe: Place,
    *,
    output: Place,
    data: Place | None = None,
    image_size: int | None = None,
    classes: int | None = None,
    preset: str | None = None,
    resume: Place = "auto",
    evaluate: bool = False,
    nproc: int = 1,
    performance: bool = False,
    synthetic: bool = False,
    track: Names | None = None,
    dllogger: bool = False,
    guide_format: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainResult:
    """Train a card's network; a stopped training resumes. Under torchrun each process calls this.

    Args:
        data: a folder with train and val; None needs `synthetic`.
        settings: of the card's `[train]`, such as `epochs=5`; they override the preset, and that the card.

    Raises:
        SeatrialError: as `workflow.train.train_recipe`.
    """
    check_numbers(locals())
    from seatrial.workflow.train_spec import TrainSpec

    spec = TrainSpec(
        recipe=os.fspath(recipe),
        data=_check_data(find_path(data), synthetic),
        output=Path(output),
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
        track=_check_trackers(track),
        dllogger=dllogger,
        guide_format=guide_format,
    )
    _refuse_ignored(spec)
    return _train(spec, progress or silent)


def _train(spec: "TrainSpec", progress: Progress) -> TrainResult:
    from seatrial.store.training import TrainingSpeedRecord
    from seatrial.train.distributed.rank import read_rank
    from seatrial.workflow.train import train_recipe
    from seatrial.workflow.train_speed import SPEED

    record = train_recipe(spec, progress)
    # The first process writes the record, perhaps after another one comes here.
    is_written = spec.performance and read_rank().is_main
    return TrainResult(spec.output, record, TrainingSpeedRecord.load(spec.output / SPEED) if is_written else None)


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


def _check_data(data: Path | None, synthetic: bool) -> Path | None:
    if data is None and not synthetic:
        raise UsageError("Missing option '--data'", "give a folder, or --synthetic for random images")
    if synthetic and data is not None:
        raise UsageError(f"--synthetic does not read {data}", "leave one of them out")
    return data


def _check_trackers(track: Names | None) -> tuple[str, ...]:
    from seatrial.strict import check_name

    names = tuple(dict.fromkeys(list_names(track)))
    for name in names:
        check_name(name, TRACKERS, f"--track {name}: unknown tracker")
    return names
