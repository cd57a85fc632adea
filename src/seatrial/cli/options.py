"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.completion import complete_references

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Output = Annotated[Path, typer.Option("--output", help="Path of the result.")]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="Label file (docs/data.md has its forms); default: class folders in --images."),
]
NoLabels = Annotated[
    bool, typer.Option("--no-labels", help="Do without labels: judge by agreement with the reference alone.")
]
Folder = Annotated[Path, typer.Argument(help="An engine folder that `seatrial compile` wrote.")]
Reference = Annotated[
    str,
    typer.Argument(
        help="Model reference: timm:…, torchvision:…, hf:…, FILE.onnx, FILE.py:CALLABLE, a recipe's name or a card.",
        autocompletion=complete_references,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="Weights: .safetensors, .pth, .pt; default: the published ones, if stored here."),
]
WhichWeights = Annotated[
    str | None, typer.Option("--weights", help="raw or ema, of a file that has both; default: the averaged ones.")
]
CheckpointKey = Annotated[
    str | None, typer.Option("--checkpoint-key", help="Where in the file the weights are, such as gan.teacher.")
]
StripPrefix = Annotated[
    str | None, typer.Option("--strip-prefix", help="What stands before the names of the network's weights.")
]
ImageSize = Annotated[
    int | None, typer.Option("--image-size", help="Height and width instead of the reference's own.", min=1)
]
Classes = Annotated[
    int | None,
    typer.Option("--classes", help="Number of your classes, of a network that was published with others.", min=1),
]
Like = Annotated[
    str | None,
    typer.Option(
        "--like",
        help="Of FILE.py:CALLABLE, FILE.onnx: a reference by which images are prepared.",
        autocompletion=complete_references,
    ),
]
Fetch = Annotated[bool, typer.Option("--fetch", help="Download the published weights if they are not stored here.")]
Gate = Annotated[
    list[str] | None,
    typer.Option(help="A gate such as 'top1 >= 0.76' or 'p99_ms(openvino, 1) <= 5' (docs/gates.md); may be repeated."),
]
Images = Annotated[Path, typer.Option("--images", help="Folder of images.")]
