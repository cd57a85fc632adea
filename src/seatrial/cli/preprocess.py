"""`seatrial preprocess`."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from seatrial.cli.options import Json, Reference
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress


@shows_progress
def preprocess(
    recipe: Reference,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder for the .bin files.")],
    mode: Annotated[str | None, typer.Option(help="One of the card's modes; default: its main preprocessing.")] = None,
    pixels: Annotated[
        str, typer.Option("--format", help="Pixel format of uint8 modes: rgb, yuv420sp (NV12) or yuv420sp-nv21.")
    ] = "rgb",
    workers: Annotated[int | None, typer.Option(help="Decoder processes; default: one for each core.", min=1)] = None,
    info: Annotated[Path | None, typer.Option(help="Write an .info file that lists the .bin files.")] = None,
    as_json: Json = False,
) -> None:
    """Write images as headerless .bin files, as a card preprocesses them. A run that was stopped resumes."""
    from seatrial.data.preprocessing.yuv import PixelFormat
    from seatrial.strict import check_name
    from seatrial.workflow.preprocess import PreprocessSpec, preprocess_images

    check_name(pixels, get_args(PixelFormat), f"there is no format '{pixels}'")
    spec = PreprocessSpec(recipe, source, target, mode, workers, cast("PixelFormat", pixels), info)
    with show_progress() as progress:
        report = preprocess_images(spec, progress)
    manifest = report.manifest
    if as_json:
        facts = manifest.model_dump(mode="json", by_alias=True, exclude={"steps"})
        counts = {"written": report.written, "kept": report.kept, "strays": report.strays, "wall_s": report.wall_s}
        print_json({"folder": str(report.folder), **facts, **counts})
        return
    shape = "x".join(str(size) for size in manifest.form.shape if size > 1)
    rate = f" at {report.written / report.wall_s:.0f} images/s" if report.written else ""
    print_lines(
        f"{target}: {report.written} files written{rate}, {report.kept} kept; "
        f"each {manifest.dtype} {manifest.layout} {shape}, {manifest.file_bytes} bytes"
    )
