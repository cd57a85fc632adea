"""`seatrial export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    read_choice,
    read_reading,
)
from seatrial.cli.output.progress import print_json, print_table, show_progress
from seatrial.errors import DataError, UsageError
from seatrial.progress import Progress, Update

if TYPE_CHECKING:
    from seatrial.data.preprocessing.aipp import Aipp


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
    from seatrial.data.labels import list_images, spread
    from seatrial.export.spec import OPSETS, ExportSpec
    from seatrial.models.find_weights import find_weights
    from seatrial.models.sources import resolve_network
    from seatrial.workflow.export import PARITY_IMAGES, export_checkpoint

    card = resolve_network(recipe, image_size, like, classes)
    proof = spread(list_images(images), PARITY_IMAGES) if images else []
    if images and not proof:
        raise DataError(f"image folder {images} has no images", "give a folder of JPEG or PNG files")
    with show_progress() as progress:
        config = read_aipp(aipp, fuse, progress)
        spec = ExportSpec(
            opset or card.graph.opset,
            read_batch(batch_size),
            read_choice(exporter or "torchscript", tuple(OPSETS), "exporter"),
            simplify,
            fuse,
            fall_back=exporter is None,
            reading=read_reading(weights, checkpoint_key, strip_prefix),
            aipp=config,
        )
        file = find_weights(card, checkpoint, fetch, progress)
        manifest = export_checkpoint(card, file, output, spec, proof, progress)
    if as_json:
        print_json(manifest.model_dump(mode="json", by_alias=True))
        return
    rows = [
        [p.step, str(p.images), f"{p.relative_error:.1e}", f"{p.largest_error:.1e}", str(p.top1_disagreements)]
        for p in manifest.parity
    ]
    kind = "images" if proof else "synthetic images"
    print_table(["step", kind, "relative error", "largest error", "other first class"], rows)
    if aipp and not proof:
        print("AIPP was not compared with the card's own preprocessing: give --images for that")
    shape = "x".join("N" if size is None else str(size) for size in manifest.input.shape)
    print(f"{output}: opset {manifest.opset}, '{manifest.input.name}' {manifest.input.dtype} {shape}")


def read_batch(text: str) -> int | None:
    """The batch size of `--batch-size`; None is a free one.

    Raises:
        UsageError: it is neither a number above 0 nor `dynamic`.
    """
    if text == "dynamic":
        return None
    if not (text.isdigit() and int(text) > 0):
        raise UsageError(f"--batch-size {text} is neither a number above 0 nor `dynamic`", "write it like 16")
    return int(text)


def read_aipp(path: Path | None, fuse: bool, progress: Progress) -> "Aipp | None":
    """The configuration of `--aipp`; notes what it does, and which of its settings do nothing.

    Raises:
        UsageError: it is wrong, or nothing is to be fused.
    """
    if path is None:
        return None
    if not fuse:
        raise UsageError("--aipp is written into the graph, and --no-fuse-preprocess forbids that", "drop one of them")
    from seatrial.data.preprocessing.aipp import describe_aipp, list_unused, load_aipp

    config = load_aipp(path)
    progress(Update("aipp", note=describe_aipp(config)))
    for unused in list_unused(config):
        progress(Update("aipp", note=unused))
    return config


def simplify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Any classifier's ONNX file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    input_shape: Annotated[str | None, typer.Option(help="Pin the input, such as 16,3,224,224.")] = None,
    output_name: Annotated[str | None, typer.Option(help="The output to keep, where there are several.")] = None,
    as_json: Json = False,
) -> None:
    """Simplify an existing graph, checked before it is written; without --input-shape its input stays as it is."""
    from seatrial.export.simplify import simplify_apart

    # onnxsim's own spelling has the input's name in front, which a graph with one input does not need.
    sizes = input_shape.rpartition(":")[2].split(",") if input_shape else []
    if not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        raise UsageError(f"--input-shape {input_shape} is not whole numbers above 0", "write it like 16,3,224,224")
    done = simplify_apart(source, target, tuple(int(size) for size in sizes) or None, output_name)
    facts, parity = done.facts, done.parity
    shape = "x".join("N" if size is None else str(size) for size in facts.input.shape)
    if as_json:
        ends = {"input": facts.input.model_dump(mode="json"), "output": facts.output.model_dump(mode="json")}
        print_json({"graph": str(target), "opset": facts.opset, **ends, "parity": parity.model_dump(mode="json")})
        return
    print(f"{target}: '{facts.input.name}' {facts.input.dtype} {shape}, differs by {parity.relative_error:.1e}")
