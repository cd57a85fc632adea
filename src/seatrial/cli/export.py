"""`seatrial export`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial import api
from seatrial.cli.options import (
    Checkpoint,
    CheckpointKey,
    Classes,
    Fetch,
    ImageSize,
    Json,
    Like,
    Output,
    Reference,
    StripPrefix,
    WhichWeights,
)
from seatrial.cli.output.progress import print_grid, print_json, print_lines, show_progress, shows_progress
from seatrial.errors import UsageError


@shows_progress
def export(
    recipe: Reference,
    output: Output,
    checkpoint: Checkpoint = None,
    opset: Annotated[int | None, typer.Option(help="ONNX opset; default: the card's.")] = None,
    batch_size: Annotated[str, typer.Option(help="A number, or `dynamic`.")] = "dynamic",
    exporter: Annotated[
        str | None, typer.Option(help="torchscript or dynamo; default: torchscript, where it fails dynamo.")
    ] = None,
    simplify: Annotated[
        bool, typer.Option("--simplify/--no-simplify", help="Simplify the graph: fold constants, drop dead nodes.")
    ] = True,
    fuse: Annotated[
        bool,
        typer.Option("--fuse-preprocess/--no-fuse-preprocess", help="Take uint8 images: normalise inside the graph."),
    ] = True,
    aipp: Annotated[
        Path | None, typer.Option(help="AIPP configuration to fuse into the graph instead of the card's preprocessing.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images to compare on; default: synthetic ones.")
    ] = None,
    image_size: ImageSize = None,
    classes: Classes = None,
    like: Like = None,
    fetch: Fetch = False,
    weights: WhichWeights = None,
    checkpoint_key: CheckpointKey = None,
    strip_prefix: StripPrefix = None,
    as_json: Json = False,
) -> None:
    """Export a checkpoint to ONNX, compare every step with torch, and check the result."""
    with show_progress() as progress:
        manifest = api.export(
            recipe,
            output=output,
            checkpoint=checkpoint,
            opset=opset,
            batch_size=batch_size,
            exporter=exporter,
            simplify=simplify,
            fuse_preprocess=fuse,
            aipp=aipp,
            images=images,
            image_size=image_size,
            classes=classes,
            like=like,
            fetch=fetch,
            weights=weights,
            checkpoint_key=checkpoint_key,
            strip_prefix=strip_prefix,
            progress=progress,
        ).manifest
    from seatrial.api.tables import tabulate_parity

    if as_json:
        print_json(manifest.model_dump(mode="json", by_alias=True))
        return
    print_grid(tabulate_parity(manifest, images is None))
    if aipp and not images:
        print_lines("AIPP was not compared with the card's own preprocessing: give --images for that")
    shape = "x".join("N" if size is None else str(size) for size in manifest.input.shape)
    print_lines(f"{output}: opset {manifest.opset}, '{manifest.input.name}' {manifest.input.dtype} {shape}")


@shows_progress
def simplify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Any classifier's ONNX file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    input_shape: Annotated[
        str | None, typer.Option(help="Pin the input, such as 16,3,224,224; -1 leaves the batch.")
    ] = None,
    output_name: Annotated[str | None, typer.Option(help="The output to keep, where there are several.")] = None,
    as_json: Json = False,
) -> None:
    """Simplify an existing graph, checked before it is written; without --input-shape its input stays as it is."""
    from seatrial.export.simplify import simplify_apart

    # onnxsim's own spelling has the input's name in front, which a graph with one input does not need.
    sizes = input_shape.rpartition(":")[2].split(",") if input_shape else []
    pinned = sizes[1:] if sizes[:1] == ["-1"] else sizes
    if not all(size.strip().isdigit() and int(size) > 0 for size in pinned):
        fix = "write it like 16,3,224,224, or -1,3,224,224 to leave the batch as it is"
        raise UsageError(f"--input-shape {input_shape} is not whole numbers above 0", fix)
    done = simplify_apart(source, target, tuple(int(size) for size in sizes) or None, output_name)
    facts, parity = done.facts, done.parity
    shape = "x".join("N" if size is None else str(size) for size in facts.input.shape)
    if as_json:
        ends = {"input": facts.input.model_dump(mode="json"), "output": facts.output.model_dump(mode="json")}
        print_json({"graph": str(target), "opset": facts.opset, **ends, "parity": parity.model_dump(mode="json")})
        return
    print_lines(f"{target}: '{facts.input.name}' {facts.input.dtype} {shape}, differs by {parity.relative_error:.1e}")
