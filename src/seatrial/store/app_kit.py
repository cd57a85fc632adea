"""What `seatrial check-app` stores: a kit of images with what is right, and the judgement of a program."""

from typing import Any, Literal

from pydantic import Field

from seatrial.errors import ExitCode
from seatrial.store.record import Record
from seatrial.strict import Strict

KIT = "kit.json"
OUTPUTS = "outputs.npy"
LOGITS = "logits.npy"
SOUND, NOISE = "sound", "noise"
"""Rows of `OUTPUTS` that belong to no fault: the card itself, and the card with one level of noise."""


class KitImage(Strict):
    """One image of a kit, with the paths of what belongs to it, from the kit's folder on."""

    name: str
    """What a program's predictions for it are called."""
    file: str
    steps: dict[str, str]
    """uint8 pixels (height, width, channels), as .npy, by the step after which they are right, in order."""
    tensor: str
    """float32 (channels, height, width), as .npy."""
    raw: str
    """The same numbers without a header, little-endian."""
    top5: tuple[int, ...] = ()
    """Best classes first; none where the kit was made without weights."""


class AppKit(Record):
    """The images and right numbers of a card: `kit.json`, which is the index too."""

    schema_: Literal["seatrial/app-kit/1"] = Field(default="seatrial/app-kit/1", alias="schema")
    recipe: dict[str, Any]
    shape: tuple[int, int, int]
    """Channels, height, width of a tensor."""
    preprocess: tuple[str, ...]
    """The card's steps in words."""
    images: tuple[KitImage, ...]
    outputs: tuple[str, ...] = ()
    """Names of the rows of `OUTPUTS`, (rows, images, classes); none without weights."""
    weights: str | None = None
    """Path of the weights, or of the ONNX file, that the logits are of."""
    files: dict[str, str]
    """sha256 by path of every file that a judgement rests on."""
    seatrial: str
    pillow: str


class AppFinding(Strict):
    """One thing that a program does otherwise than the card."""

    name: str
    step: str
    words: str


class AppJudgement(Record):
    """What a program does otherwise than a card, and how much that is."""

    schema_: Literal["seatrial/app-judgement/1"] = Field(default="seatrial/app-judgement/1", alias="schema")
    kind: Literal["tensors", "logits", "classes"]
    """What the program wrote."""
    images: int
    verdict: Literal["same", "differs", "cannot tell"]
    findings: tuple[AppFinding, ...]
    """In the order of the pipeline, so that the first is the first step that differs."""
    explained: bool
    """Whether the findings leave no more than rounding."""
    alternatives: tuple[str, ...] = ()
    """What would explain the predictions as well."""
    mean_levels: float | None = None
    """How far values lie from the right ones, in levels of 255; of tensors only."""
    largest_levels: float | None = None
    share: float | None = None
    """Of the values, how many lie off by more than half a level."""
    affected: int | None = None
    """Images with a value beyond the tolerance."""
    worst_image: str | None = None
    relative_error: float | None = None
    """Of logits or probabilities: Frobenius norm of the difference over that of the right ones."""
    floor: float | None = None
    """What one level of noise on every pixel does to them."""
    changed: int | None = None
    """First classes that are others than the network's on the right tensors; None where that is not known."""
    top1_before: float | None = None
    top1_after: float | None = None
    """On the user's labelled images: as the card says, and as the program does."""
    labelled: int | None = None
    conclusion: str

    @property
    def exit_code(self) -> ExitCode:
        """`PASS` for the same, `ACCURACY` for a difference, else `INCONCLUSIVE`."""
        codes = {"same": ExitCode.PASS, "differs": ExitCode.ACCURACY, "cannot tell": ExitCode.INCONCLUSIVE}
        return codes[self.verdict]
