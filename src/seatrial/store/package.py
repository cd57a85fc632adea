"""The record of a package: what is in the folder, how its engine is opened, and whether it passed."""

from typing import Any, Literal

from pydantic import Field

from seatrial.store.record import Record
from seatrial.store.records import Outcome, TensorSpec
from seatrial.strict import Strict

MANIFEST = "manifest.json"


class PackageSettings(Strict):
    """What `predict.py` does: from an image file to scores."""

    file: str
    """The engine file that takes one image, in `engine`."""
    batch_size: int | None
    """That it is fixed to; None: any."""
    input: TensorSpec
    output: str
    """Name of the scores."""
    steps: tuple[dict[str, Any], ...]
    """The card's steps on pixels, with every option."""
    mean: tuple[float, ...]
    """On the 0..1 scale, for each channel, as `std`; of the steps after those on pixels."""
    std: tuple[float, ...]
    probabilities: bool
    """The scores are probabilities already."""
    limit: float
    """What rounding may move scores by, as relative error, between two machines."""
    runtime: dict[str, Any]
    """How the engine's runtime opens the file."""


class PackageManifest(Record):
    """What a package is: its `manifest.json`."""

    schema_: Literal["seatrial/package/1"] = Field(default="seatrial/package/1", alias="schema")
    recipe: str
    name: str
    """Of the engine in its run."""
    engine: str
    device: str
    precision: str
    executed: dict[str, int]
    """Layers by the precision that they ran in."""
    outcome: Outcome
    """Of the gates that judge this engine."""
    unproven: tuple[str, ...] = ()
    """Why it did not pass, where it was packaged all the same."""
    run: str
    """`RunManifest.identity` of the run."""
    images_compared: int
    """Images of the run whose predictions `predict.py` repeated when it was packaged."""
    python: str
    versions: dict[str, str]
    """Measured, by distribution: those of `requirements.txt`."""
    machine: str
    settings: PackageSettings
    kit: tuple[str, ...]
    """Pictures in `kit`, in the order of `expected.npz`."""
    files: dict[str, str]
    """sha256 of every other file, by its path."""
