"""Options that several verbs share, and the parsers of their texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from seatrial.errors import UsageError
from seatrial.models.reading import CheckpointReading

Choice = TypeVar("Choice", bound=str)

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
        help="Model reference: timm:…, torchvision:…, hf:…, FILE.onnx, FILE.py:CALLABLE, a recipe's name or a card."
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
    typer.Option("--like", help="Of FILE.py:CALLABLE, FILE.onnx: a reference by which images are prepared."),
]
Fetch = Annotated[bool, typer.Option("--fetch", help="Download the published weights if they are not stored here.")]
Gate = Annotated[
    list[str] | None,
    typer.Option(help="A gate such as 'top1 >= 0.76' or 'p99_ms(openvino, 1) <= 5' (docs/gates.md); may be repeated."),
]
Images = Annotated[Path, typer.Option("--images", help="Folder of images.")]


def read_reading(weights: str | None, key: str | None, prefix: str | None) -> CheckpointReading:
    """What the options say of a checkpoint.

    Raises:
        UsageError: --weights is neither raw nor ema, or two options choose the weights.
    """
    if weights is not None and key is not None:
        raise UsageError("--checkpoint-key says which weights to take, and so does --weights", "give one of them")
    choices: tuple[Literal["raw", "ema"], ...] = ("raw", "ema")
    return CheckpointReading(
        key, prefix, None if weights is None else read_choice(weights.lower(), choices, "choice of --weights")
    )


def read_sizes(text: str) -> tuple[int, ...]:
    """Batch sizes from `1,4,8`.

    Raises:
        UsageError: one is not a whole number above 0, or is repeated.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--batch-size {text} is not a list of whole numbers above 0", "write it like 1,4,8")
    sizes = tuple(int(part) for part in parts)
    if len(set(sizes)) < len(sizes):
        raise UsageError(f"--batch-size {text} names a size twice", "name each once")
    return sizes


def read_choice(text: str, choices: Sequence[Choice], what: str) -> Choice:
    """One of the choices, by its text.

    Raises:
        UsageError: there is none of that name.
    """
    chosen = next((choice for choice in choices if choice == text), None)
    if chosen is None:
        raise UsageError(f"there is no {what} '{text}'", " or ".join(choices))
    return chosen


def read_scopes(text: str) -> tuple[str, ...]:
    """Scopes from `device,host,e2e`.

    Raises:
        UsageError: one is not a scope, or is repeated.
    """
    known = ("device", "host", "e2e")
    scopes = tuple(part.strip() for part in text.split(","))
    wrong = next((scope for scope in scopes if scope not in known), None)
    if wrong is not None:
        raise UsageError(f"--scope {text}: there is no scope '{wrong}'", f"scopes: {', '.join(known)}")
    if len(set(scopes)) < len(scopes):
        raise UsageError(f"--scope {text} names a scope twice", "name each once")
    return scopes


def read_pairs(options: Sequence[str]) -> dict[str, str]:
    """Engine options from `K=V` words.

    Raises:
        UsageError: one has no `=`.
    """
    for option in options:
        if "=" not in option:
            raise UsageError(f"--option {option} has no '='", "write it like --option NAME=VALUE")
    return dict(option.split("=", 1) for option in options)
