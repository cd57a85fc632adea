"""What `seatrial diagnose` stores: `diagnosis.json` in the run folder."""

from typing import Literal

from pydantic import Field

from seatrial.errors import ExitCode
from seatrial.store.measurement import Environment
from seatrial.store.record import Record
from seatrial.strict import Strict

LABELS = "labels"
PREPROCESSING = "preprocessing"
EXPORT = "export"
SIMPLIFY = "simplify"
STORED = "stored graph"
FUSED = "fused preprocessing"
"""Names of the stages that every run has; graphs and engines are called as in the run folder."""

StageVerdict = Literal["within", "leaves", "inherits", "not run"]
"""`inherits` lies outside the floor as far as the stage that it is compared with, and no further."""


class Distance(Strict):
    """How far a stage's logits (n, classes) lie from others."""

    relative_error: float
    """Frobenius norm of the difference over that of the others."""
    largest_error: float
    worst_image: str
    worst_image_error: float
    """Norm of that image's difference over the root mean square norm of all images' logits."""
    flips: int
    """Images with another first class."""


class StageDiagnosis(Strict):
    """One stage, compared with the one before it and with torch."""

    stage: str
    against: str | None = None
    """The stage that it is compared with: the one before it, or torch where that one is wrong already."""
    images: int
    top1: float | None = None
    """Share of the images whose first class is the label."""
    distance: Distance | None = None
    """From `against`; None where there are no numbers."""
    from_torch: Distance | None = None
    floor: float | None = None
    """The relative error that noise may have."""
    floor_reason: str = ""
    chance_flips: int | None = None
    """Flips that noise as large as the floor may have."""
    verdict: StageVerdict
    reason: str = ""
    """Why it leaves or was not run, and what the difference looks like, in words."""
    advice: str = ""
    """What to do about it."""


class Diagnosis(Record):
    """Which stage of a run lost the accuracy: `diagnosis.json`."""

    schema_: Literal["seatrial/diagnosis/1"] = Field(default="seatrial/diagnosis/1", alias="schema")
    recipe: str
    images: int
    images_hash: str
    """Of the images diagnosed on: see `data.labels.hash_listing`."""
    stages: tuple[StageDiagnosis, ...]
    """In the order of the pipeline."""
    first: str | None
    """The first stage that leaves its noise floor."""
    conclusion: str
    findings: tuple[str, ...]
    """What in the run folder or its inputs has changed since it was made."""
    environment: Environment

    @property
    def exit_code(self) -> ExitCode:
        """`ACCURACY` if a stage leaves its floor, else `INCONCLUSIVE` if one could not be run, else `PASS`."""
        if self.first is not None:
            return ExitCode.ACCURACY
        return ExitCode.INCONCLUSIVE if any(stage.verdict == "not run" for stage in self.stages) else ExitCode.PASS
