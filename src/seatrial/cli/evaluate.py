"""`seatrial evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.options import Folder, Images, Json, Labels, Output
from seatrial.cli.show import print_json, print_table, showing
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.data.labels import LabelledImage
    from seatrial.store.records import AccuracyRecord


def evaluate(
    folder: Folder,
    images: Images,
    output: Output,
    labels: Labels = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a run; default: what tuning found, else 16.", min=1)
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Predictions of another engine (.parquet) to compare with.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take so many images, each class in proportion.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the chance that chooses them.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Decode at a time; default: one for each core.", min=1)] = None,
    streams: Annotated[
        int | None,
        typer.Option(help="Batches in the engine at a time; default: what tuning found, else up to 4.", min=1),
    ] = None,
    logits: Annotated[bool, typer.Option("--logits", help="Store all logits, not only the five best.")] = False,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Tell an accuracy also where images are missing or broken.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with what a stopped evaluation has left.")
    ] = True,
    fake_images: Annotated[
        int | None, typer.Option(help="Repeat the images up to so many, to try long runs; no accuracy.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure an engine's accuracy on a labelled set; writes OUTPUT/NAME.json and NAME.parquet."""
    from seatrial.data.labels import read_labels
    from seatrial.engines.base import read_engine
    from seatrial.workflow.accuracy import EvaluateSpec, evaluate_engine

    classes = read_engine(folder).manifest.graph.recipe["network"]["classes"]
    found = read_labels(images, labels, classes)
    chosen = choose_images(found, limit, seed, fake_images)
    spec = EvaluateSpec(
        chosen, batch_size, reference, workers, streams, logits, allow_partial=allow_partial, resume=resume
    )
    with showing() as progress:
        record = evaluate_engine(folder, spec, output, progress)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
        return
    print_accuracy(record)


def choose_images(
    images: "tuple[LabelledImage, ...]", limit: int | None, seed: int, fake: int | None
) -> "tuple[LabelledImage, ...]":
    """The images to evaluate: all, a stratified part, or some of them many times under other names.

    Raises:
        UsageError: the options contradict each other.
    """
    from seatrial.evaluation.select import repeat_images, select_images

    if limit is not None and fake is not None:
        raise UsageError("--limit takes fewer images and --fake-images more", "give one of them")
    if fake is not None:
        return repeat_images(images, fake)
    return images if limit is None else select_images(images, limit, seed)


def print_accuracy(record: "AccuracyRecord") -> None:
    """A table, how it compares with the reference, and what must be known about it."""
    header = [f"top-{k}" for k in range(1, len(record.hits) + 1)]
    shares = [f"{record.accuracy(k + 1):.2%}" for k in range(len(record.hits))]
    low, high = record.top1_interval
    print_table(
        ["engine", "images", *header, "top-1, 95 %"],
        [[record.name, str(record.images), *shares, f"{low:.2%} to {high:.2%}"]],
    )
    if record.left_out:
        print(f"partial: {len(record.left_out)} images have no answer, first: {next(iter(record.left_out.values()))}")
    if record.batch_invariant is False:
        print("note: the same image gets other logits in another batch")
    if record.versus is not None:
        v = record.versus
        print(
            f"against {v.reference}: drop {v.drop_pp:.2f} points ({v.low_pp:.2f} to {v.high_pp:.2f}), "
            f"{v.lost} lost, {v.gained} gained, {v.changed} answers changed"
        )
        for doubt in v.doubts:
            print(f"doubt: {doubt}, so the drop may not be the engine's")
