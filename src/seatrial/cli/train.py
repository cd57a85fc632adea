"""`seatrial train`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Json, Output
from seatrial.cli.show import print_json, print_table, showing


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or the path of a card.")],
    data: Annotated[
        Path, typer.Option(help="Folder with train/CLASS/NAME and val/ (and val_label.txt if val/ is flat).")
    ],
    output: Output,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate of the schedule.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of matrices; BatchNorm and biases have none.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Share of the label given to all classes.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and crops.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Train again even if it is done.")] = False,
    as_json: Json = False,
) -> None:
    """Train a card's network from images; unset options are the card's. Stopped, it resumes after its last epoch."""
    from seatrial.workflow.training import TrainSpec, train_recipe

    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "seed": seed,
    }
    with showing() as progress:
        record = train_recipe(TrainSpec(recipe, data, output, settings, force=force), progress)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
        return
    rows = [
        [f"{e.epoch}", f"{e.loss:.3f}", f"{e.train_top1 or 0:.2%}", f"{e.val_top1 or 0:.2%}", f"{e.images_per_s:.0f}"]
        for e in record.epochs
    ]
    print_table(["epoch", "loss", "train top-1", "held-out top-1", "images/s"], rows)
    print(f"checkpoint: {output / record.checkpoint} ({record.precision})")
