"""`seatrial quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial import api
from seatrial.cli.options import Json, Labels, Output
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress


@shows_progress
def quantize(
    graph: Annotated[Path, typer.Argument(help="An fp32 ONNX file that `seatrial export` wrote.")],
    calibration: Annotated[
        Path,
        typer.Option(help="Calibration images, never evaluated on: a folder, or a file that lists one path per line."),
    ],
    output: Output,
    calibration_images: Annotated[int, typer.Option(help="Most calibration images, evenly spaced.", min=1)] = 300,
    preset: Annotated[
        str, typer.Option(help="performance (symmetric activations) or mixed (with zero points).")
    ] = "performance",
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of evaluation images: no calibration images; the graph is compared with fp32 on it."),
    ] = None,
    labels: Labels = None,
    max_drop_pp: Annotated[
        float | None, typer.Option(help="Keep layers in float until top-1 drops by no more points.", min=0)
    ] = None,
    as_json: Json = False,
) -> None:
    """Quantise a graph to int8 with a scale for each output channel, checked and compared with fp32."""
    with show_progress() as progress:
        manifest = api.quantize(
            graph,
            calibration=calibration,
            output=output,
            calibration_images=calibration_images,
            preset=preset,
            images=images,
            labels=labels,
            max_drop_pp=max_drop_pp,
            progress=progress,
        ).manifest
    if as_json:
        print_json(manifest.model_dump(mode="json", by_alias=True))
        return
    made, moved = manifest.calibration, manifest.parity[-1]
    assert made is not None
    print_lines(
        f"{output}: opset {manifest.opset}, {made.layers} of {made.layers + made.float_layers} layers in int8, "
        f"calibrated on {made.images} images; against fp32 on {moved.images} images: relative error "
        f"{moved.relative_error:.1e}, {moved.top1_disagreements} other first classes"
    )
    if made.kept_float:
        print_lines(f"in float: {', '.join(made.kept_float)}")
