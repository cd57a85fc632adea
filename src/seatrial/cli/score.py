"""`seatrial score`: the top-1 and top-5 of predictions in the guides' format."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_json, print_table, show_progress, shows_progress


@shows_progress
def score(
    predictions: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of NAME_0.txt, .bin or .npy.")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Label file, with classes as numbers.")],
    output: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the result.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The result's name, such as result.json.")],
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score what there is, even if predictions are missing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count top-1 to top-5 of one-file-per-image predictions; writes OUT_DIR/NAME as the guides' scripts do."""
    from seatrial.workflow.score import score_predictions

    with show_progress() as progress:
        result = score_predictions(predictions, labels, output / name, allow_partial, progress)
    counts = result.counts
    if as_json:
        print_json({
            "images": counts.count, "classes": result.classes, "hits": counts.hits, "missing": result.missing,
            "foreign": result.foreign, "result": str(output / name),
        })  # fmt: skip
        return
    header = [f"top-{k}" for k in range(1, len(counts.hits) + 1)]
    shares = [f"{counts.accuracy(k):.2%}" for k in range(1, len(counts.hits) + 1)]
    print_table(["images", "missing", "classes", *header], [
        [str(counts.count), str(result.missing), str(result.classes), *shares]
    ])  # fmt: skip
