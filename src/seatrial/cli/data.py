"""`seatrial data`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Images, Json, Labels, Output, Reference
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress
from seatrial.errors import UsageError

app = typer.Typer(help="Make, prepare and check data sets.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make, prepare and check data sets."""


@app.command("make-demo")
@shows_progress
def make_demo(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> None:
    """Draw scikit-learn's digits as colour JPEG files in ImageNet's layouts, with labels and a card."""
    from seatrial.data.demo import make_demo as make

    with show_progress() as progress:
        demo = make(folder, progress)
    print_lines(demo.card, demo.train, demo.val, demo.labels, demo.calibration)


@app.command()
@shows_progress
def check(
    recipe: Reference,
    images: Images,
    labels: Labels = None,
    expect: Annotated[int | None, typer.Option(help="Number of images that there must be.", min=1)] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="An engine's predictions (.parquet), to check the order of the labels with.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check names, labels and every image of a labelled set; exit code 6 if something is wrong."""
    from seatrial.errors import DataError
    from seatrial.workflow.check_data import check_images

    with show_progress() as progress:
        findings = check_images(recipe, images, labels, expect, predictions, progress)
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        print_json({"errors": errors, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            print_lines(f"{finding.level}: {finding.text}")
            for example in finding.examples:
                print_lines(f"    {example}")
        print_lines(f"{images}: {errors} errors, {len(findings) - errors} warnings")
    return DataError.exit_code if errors else 0


@app.command()
def info(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder of .bin files, or of JPEG files.")],
    output: Annotated[Path, typer.Option("--output", help="The file to write (.info).")],
    width: Annotated[int | None, typer.Option(help="Of the images that the .bin files were made of.", min=1)] = None,
    height: Annotated[int | None, typer.Option(help="Of the same.", min=1)] = None,
) -> None:
    """Write the guides' .info file of a folder: .bin files with the size given, or JPEG files with their own."""
    from seatrial.data.bins.info_file import read_info, write_image_info, write_info

    if width is None and height is None:
        write_image_info(folder, output)
    elif width is None or height is None:
        raise UsageError("--width and --height are one size", "give both for .bin files, neither for JPEG files")
    else:
        write_info(folder, output, width, height)
    print_lines(f"{output}: {len(read_info(output))} files")


@app.command()
@shows_progress
def pack(
    recipe: Reference,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Images: a folder, a list, .tar archives.")],
    output: Annotated[Path, typer.Option("--output", help="The file to write (.pack).")],
    labels: Labels = None,
    workers: Annotated[int | None, typer.Option(help="Decoder threads; default: one for each core.", min=1)] = None,
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial", help="Accept labelled images that are missing, and images that are not part of the set."
        ),
    ] = False,
    aipp: Annotated[Path | None, typer.Option(help="AIPP configuration of the engines that will take it.")] = None,
    as_json: Json = False,
) -> None:
    """Decode a labelled set once, as a card crops it, into one file that `evaluate` takes for any engine."""
    from seatrial.workflow.pack_data import PackSpec, pack_images

    with show_progress() as progress:
        report = pack_images(PackSpec(recipe, source, output, labels, workers, allow_partial, aipp), progress)
    index, count = report.index, len(report.index.ids)
    if as_json:
        columns = {"missing", "ids", "labels", "source_bytes", "source_sha256", "crc32"}
        facts = index.model_dump(mode="json", by_alias=True, exclude=columns)
        counts = {
            "images": count,
            "missing": len(index.missing),
            "size_bytes": report.size_bytes,
            "wall_s": report.wall_s,
        }
        print_json({"pack": str(output), **facts, **counts})
        return
    rate = f" at {count / report.wall_s:.0f} images/s" if report.wall_s else ""
    shape = "x".join(map(str, index.shape))
    print_lines(f"{output}: {count} images{rate}, each {index.dtype} {shape}; {report.size_bytes:,} bytes")


@app.command()
@shows_progress
def prepare(
    output: Output,
    train: Annotated[Path | None, typer.Option(help="ILSVRC2012_img_train.tar.")] = None,
    val: Annotated[Path | None, typer.Option(help="ILSVRC2012_img_val.tar.")] = None,
    devkit: Annotated[Path | None, typer.Option(help="ILSVRC2012_devkit_t12.tar.gz, for the label file.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Refuse an archive whose md5 is not the published one.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Unpack ImageNet's archives into OUTPUT/train and OUTPUT/val, and write OUTPUT/val_label.txt."""
    from seatrial.data.archives.imagenet import prepare_imagenet

    with show_progress() as progress:
        prepared = prepare_imagenet(output, train, val, devkit, verify, progress)
    if as_json:
        print_json({**asdict(prepared), "labels": str(prepared.labels) if prepared.labels else None})
        return
    for part, count in (("train", prepared.train_images), ("val", prepared.val_images)):
        if count is not None:
            print_lines(f"{output / part}: {count} images")
    if prepared.labels is not None:
        print_lines(prepared.labels)
