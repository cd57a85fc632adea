"""`seatrial evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial import api
from seatrial.cli.options import Folder, Json, Labels, NoLabels, Output
from seatrial.cli.output.progress import print_grid, print_json, print_lines, show_progress, shows_progress

if TYPE_CHECKING:
    from seatrial.store.records import AccuracyRecord

ImageSet = Annotated[str, typer.Option(help="A folder, list, .info file, .tar shards, bins or a pack.")]
BatchSize = Annotated[int | None, typer.Option(help="Batch size; default: what tuning chose, else 16.", min=1)]
Reference = Annotated[Path | None, typer.Option(help="Predictions of another engine (.parquet) to compare with.")]
Limit = Annotated[int | None, typer.Option(help="Number of images to take, each class in proportion.", min=1)]
Seed = Annotated[int, typer.Option(help="Random seed for --limit.")]
Workers = Annotated[
    int | None, typer.Option(help="Decode workers; default: one for each core, up to two on fewer than four.", min=1)
]
Streams = Annotated[
    int | None,
    typer.Option(help="Batches in the engine at a time; default: what tuning chose, else up to 8.", min=1),
]
Logits = Annotated[bool, typer.Option("--logits", help="Store all logits, not only the five best.")]
AllowPartial = Annotated[
    bool, typer.Option("--allow-partial", help="Measure an accuracy also where images are missing or broken.")
]
Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Resume an evaluation that was stopped.")]
GatePoints = Annotated[
    float | None,
    typer.Option(help="Largest drop against --reference, in points; exit code 0, 3 or 7.", min=0, max=100),
]
UntilCertain = Annotated[
    bool,
    typer.Option("--until-certain", help="Stop when the verdict is certain; the gate is --gate-pp or the card's."),
]
FakeImages = Annotated[
    int | None, typer.Option(help="Repeat the images up to this number, to try long runs; no accuracy.", min=1)
]
Cluster = Annotated[
    str | None, typer.Option(help="Run on a Ray cluster: ray, ray:HOST:PORT, or ray:local to start one.")
]
Actors = Annotated[
    int | None, typer.Option(help="Engine sessions on the cluster; default: as many as there is room for.", min=1)
]
CpusPerActor = Annotated[
    int | None, typer.Option(help="CPUs of each actor; default: those of the smallest machine, at most 8.", min=1)
]


@shows_progress
def evaluate(
    folder: Folder,
    images: ImageSet,
    output: Output,
    labels: Labels = None,
    no_labels: NoLabels = False,
    batch_size: BatchSize = None,
    reference: Reference = None,
    limit: Limit = None,
    seed: Seed = 0,
    workers: Workers = None,
    streams: Streams = None,
    logits: Logits = False,
    allow_partial: AllowPartial = False,
    resume: Resume = True,
    gate_pp: GatePoints = None,
    until_certain: UntilCertain = False,
    fake_images: FakeImages = None,
    cluster: Cluster = None,
    actors: Actors = None,
    cpus_per_actor: CpusPerActor = None,
    as_json: Json = False,
) -> int:
    """Measure an engine's accuracy on a set of images; writes OUTPUT/NAME.json and NAME.parquet."""
    with show_progress() as progress:
        done = api.evaluate(
            folder,
            images=images,
            output=output,
            labels=labels,
            no_labels=no_labels,
            batch_size=batch_size,
            reference=reference,
            limit=limit,
            seed=seed,
            workers=workers,
            streams=streams,
            logits=logits,
            allow_partial=allow_partial,
            resume=resume,
            gate_pp=gate_pp,
            until_certain=until_certain,
            fake_images=fake_images,
            cluster=cluster,
            actors=actors,
            cpus_per_actor=cpus_per_actor,
            progress=progress,
        )
    if as_json:
        print_json(done.record.model_dump(mode="json", by_alias=True))
    else:
        print_accuracy(done.record)
        for gate in done.gates:
            whose = "" if gate.engine == done.record.name else f"{gate.engine}: "
            print_lines(f"{gate.outcome}: {whose}{gate.reason}")
    return done.verdict.exit_code if done.verdict else 0


def print_accuracy(record: "AccuracyRecord") -> None:
    """Print a table, the comparison with the reference, notes and doubts."""
    if record.fake:
        print_lines(f"{record.name}: {record.images} images, many of them the same under several names: no accuracy")
        return
    from seatrial.api.tables import tabulate_accuracy
    from seatrial.compare.predictions import describe_agreement
    from seatrial.report.numbers import write_points

    print_grid(tabulate_accuracy(record))
    if record.left_out:
        print_lines(
            f"partial: {len(record.left_out)} images have no prediction, first: {next(iter(record.left_out.values()))}"
        )
    if record.batch_invariant is False:
        moved = "" if record.batch_distance is None else f" (relative error {record.batch_distance:.1e}: rounding)"
        print_lines(f"note: the same image gets other logits in another batch{moved}")
    for note in record.notes:
        print_lines(f"note: {note}")
    for doubt in record.doubts:
        print_lines(f"doubt: {doubt}")
    if record.unchecked:
        print_lines(f"note: not checked whether these predictions are plausible: {record.unchecked}")
    if record.versus is not None:
        v = record.versus
        drop, low, high = map(write_points, (v.drop_pp, v.low_pp, v.high_pp))
        print_lines(
            f"against {v.reference}: drop {drop} points ({low} to {high}), "
            f"{v.lost} lost, {v.gained} gained, {v.changed} predictions changed ({v.changed / v.images:.1%})"
        )
    elif record.agreement is not None:
        print_lines(f"against {describe_agreement(record.agreement)}")
    for doubt in record.compared.doubts if record.compared is not None else ():
        print_lines(f"doubt: {doubt}, so the drop may not be the engine's")
