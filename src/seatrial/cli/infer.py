"""`seatrial infer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.cli.options import Folder, Json
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress

if TYPE_CHECKING:
    from seatrial.workflow.infer import InferResult
    from seatrial.workflow.infer_output import InferSpec


@shows_progress
def infer(
    folder: Folder,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="A folder of .bin and .npy files or of images, an .info file, or files with commas between them; "
            "without it, one synthetic batch.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Where to make the folder of logits; without it, only times are printed."),
    ] = None,
    dirname: Annotated[
        str | None, typer.Option("--output-dirname", help="Name of that folder; default: the time.")
    ] = None,
    form: Annotated[
        Literal["TXT", "BIN", "NPY"], typer.Option("--outfmt", help="File format of the logits.", case_sensitive=False)
    ] = "BIN",
    batch_size: Annotated[
        int | None, typer.Option(help="Batch size; default: the smallest compiled, 16 if free.", min=1)
    ] = None,
    loop: Annotated[int, typer.Option(help="Executions of each batch.", min=1)] = 1,
    warmup: Annotated[int, typer.Option(help="Executions of the first batch that do not count.", min=0)] = 1,
    layout: Annotated[
        Literal["ais-bench", "benchmark", "msame"],
        typer.Option(help="File layout of ais_bench, or of the older tools benchmark and msame."),
    ] = "ais-bench",
    pure_data: Annotated[
        Literal["zero", "random"], typer.Option("--pure-data-type", help="Synthetic data without --input.")
    ] = "zero",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a folder of logits that is in the way.")] = False,
    device_number: Annotated[
        int | None, typer.Option(help="Number in the names of --layout benchmark; default: the device's own.", min=0)
    ] = None,
    everything: Annotated[bool, typer.Option("--display-all-summary", help="Print the times of copies too.")] = False,
    as_json: Json = False,
) -> None:
    """Run files through an engine and write one file of logits for each, as the guides' tools do."""
    from seatrial.workflow.infer import infer_engine
    from seatrial.workflow.infer_output import InferSpec

    spec = InferSpec(source, output, dirname, form, batch_size, loop, warmup, layout, pure_data, replace, device_number)
    with show_progress() as progress:
        done = infer_engine(folder, spec, progress)
    if as_json:
        print_json(describe_inferred(done))
    else:
        print_lines(*list_lines(done, spec, everything))


def describe_inferred(done: "InferResult") -> dict[str, Any]:
    """What was run, under the tool's names where it has some."""
    from seatrial.evaluation.guide_format import name_times

    performance, course, place = done.performance, done.course, done.place
    return {
        "folder": str(place.folder) if place and place.folder else None,
        "summary": str(place.summary) if place and place.summary else None,
        "files": done.files, "images": course.images, "batches": course.batches, "batch_size": performance.batch_size,
        **name_times(performance), "throughput": performance.images_per_s, "wall_s": course.stored_s,
    }  # fmt: skip


def list_lines(done: "InferResult", spec: "InferSpec", everything: bool) -> list[str]:
    """What the layout's tool prints."""
    from seatrial.evaluation.guide_format import print_average, print_pure, write_performance, write_report

    performance, place = done.performance, done.place
    if spec.layout == "benchmark" and spec.source is None:
        return print_pure(performance, place.summary if place else None)
    if spec.layout == "benchmark":
        return write_report(performance, done.course).splitlines()
    folder = [f"[INFO] output path:{place.folder}"] if place else []
    return [
        *folder,
        *(print_average(performance) if spec.layout == "msame" else write_performance(performance, everything)),
    ]
