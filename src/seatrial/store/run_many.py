"""A list of models to put through their trials, as people write it in TOML, and what came of each."""

import datetime
from typing import Annotated, Literal

from pydantic import Field

from seatrial.errors import ExitCode
from seatrial.store.record import Record
from seatrial.strict import Strict

Positive = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


class CellOptions(Strict):
    """The options of `seatrial run`, by their names, and the time that it may take."""

    images: Text | None = None
    labels: Text | None = None
    no_labels: bool = False
    checkpoint: Text | None = None
    engines: tuple[Text, ...] = ()
    batch_size: tuple[Positive, ...] = ()
    bench_duration: Annotated[float, Field(gt=0)] | None = None
    bench_precision: Annotated[float, Field(ge=0, le=100)] | None = None
    bench_samples: Positive | None = None
    evaluate_batch_size: Positive | None = None
    opset: Positive | None = None
    calibration: Text | None = None
    measure_again: bool = False
    image_size: Positive | None = None
    like: Text | None = None
    classes: Positive | None = None
    fetch: bool = False
    weights: Literal["raw", "ema"] | None = None
    checkpoint_key: Text | None = None
    strip_prefix: Text | None = None
    gate: tuple[Text, ...] = ()
    time_budget: Text | None = None
    time_limit_min: Annotated[float, Field(gt=0)] | None = None
    """Minutes."""


class ModelEntry(CellOptions):
    """A model, or those that a reference with wildcards fits; its options go before the list's."""

    reference: Text
    name: Annotated[str, Field(pattern=r"^[\w][\w.\-]*$")] | None = None
    """Of the run folder; default: the reference's."""


class Skip(Strict):
    """Models that are left out, and why."""

    reference: Text
    """Wildcards fit the references of the list's models."""
    reason: Text
    date: datetime.date


class RunList(Strict):
    """The whole file."""

    defaults: CellOptions = CellOptions()
    """Options of every model."""
    models: tuple[ModelEntry, ...]
    skip: tuple[Skip, ...] = ()


class CellResult(Strict):
    """What came of one model."""

    name: str
    """Of its run folder."""
    reference: str
    outcome: Literal["PASS", "FAIL", "INCONCLUSIVE", "error", "timed out", "skipped", "not run"] = "not run"
    exit_code: ExitCode | None = None
    """That its run ended with; None where it was not run."""
    reason: str = ""
    command: str
    """That repeats it alone."""
    seconds: float | None = None
    log: str = ""


class RunManyRecord(Record):
    """What came of a list: `run-many.json`."""

    schema_: Literal["seatrial/run-many/1"] = Field(default="seatrial/run-many/1", alias="schema")
    list_file: str
    cells: tuple[CellResult, ...]
    exit_code: ExitCode
    """The worst of the cells': see `workflow.run_many.WORST_FIRST`."""
