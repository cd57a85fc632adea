"""The whole trial and its report: `run` and `report`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.api.results import ReportResult, RunResult
from seatrial.api.values import (
    Names,
    Place,
    Sizes,
    check_numbers,
    find_path,
    list_names,
    list_texts,
    read_reading,
    read_sizes,
)
from seatrial.errors import UsageError
from seatrial.extras import naming_extras
from seatrial.progress import Progress, silent

if TYPE_CHECKING:
    from seatrial.workflow.run_spec import RunSpec


@naming_extras()
def run(
    recipe: Place,
    *,
    images: Place,
    output: Place,
    labels: Place | None = None,
    no_labels: bool = False,
    checkpoint: Place | None = None,
    engines: Names = "onnxruntime,openvino",
    batch_size: Sizes | None = None,
    bench_duration: float = 10.0,
    bench_precision: float = 2.5,
    bench_samples: int = 50,
    evaluate_batch_size: int = 16,
    opset: int | None = None,
    calibration: Place | None = None,
    measure_again: bool = False,
    image_size: int | None = None,
    classes: int | None = None,
    like: str | None = None,
    fetch: bool = False,
    weights: str | None = None,
    checkpoint_key: str | None = None,
    strip_prefix: str | None = None,
    gate: Names | None = None,
    time_budget: str | float | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Put a checkpoint or an ONNX file through the whole trial; what is done already is taken as it is.

    A gate that fails is no error: `result.verdict.outcome` says so.

    Args:
        recipe: a model reference (docs/models.md).
        output: the run folder.
        engines: NAME[:PRECISION][@DEVICE]; the reference is torch, or the ONNX file.
        time_budget: "10m", or seconds.

    Raises:
        SeatrialError: as `workflow.run.run_pipeline`; what was finished before stays.
    """
    check_numbers(locals())
    options = {name: value for name, value in locals().items() if name != "progress"}
    from seatrial.workflow.run import run_pipeline

    return RunResult(run_pipeline(make_run_spec(options), progress or silent))


def make_run_spec(options: Mapping[str, Any]) -> "RunSpec":
    """What a run is to do, of the options of `run` by name.

    Raises:
        UsageError: one is wrong.
    """
    from seatrial.store.command_line import read_duration
    from seatrial.workflow.run_spec import RunSpec

    o, budget = options, options["time_budget"]
    return RunSpec(
        recipe=os.fspath(o["recipe"]),
        checkpoint=find_path(o["checkpoint"]),
        images=Path(o["images"]),
        labels=find_path(o["labels"]),
        unlabelled=o["no_labels"],
        engines=list_names(o["engines"]),
        output=Path(o["output"]),
        batch_sizes=() if o["batch_size"] is None else read_sizes(o["batch_size"]),
        bench_duration_s=o["bench_duration"],
        bench_precision_pct=o["bench_precision"],
        bench_min_samples=o["bench_samples"],
        evaluate_batch_size=o["evaluate_batch_size"],
        opset=o["opset"],
        calibration=find_path(o["calibration"]),
        measure_again=o["measure_again"],
        image_size=o["image_size"],
        classes=o["classes"],
        like=o["like"],
        fetch=o["fetch"],
        reading=read_reading(o["weights"], o["checkpoint_key"], o["strip_prefix"]),
        gates=list_texts(o["gate"]),
        time_budget_s=read_duration(budget) if isinstance(budget, str) else budget,
    )


@naming_extras()
def report(
    folder: Place,
    *,
    format: str | None = None,
    language: str = "en",
    output: Place | None = None,
    progress: Progress | None = None,
) -> ReportResult:
    """Write report.html and report.md of a run, or make another form of it.

    Args:
        format: html, md, guide, card, pr, junit, csv, json or badge (docs/report.md).
        output: where the form is written; None: only `text` has it.

    Raises:
        UsageError: there is no such form or language, or `folder` is no run.
    """
    from seatrial.report.forms import check_form, write_form
    from seatrial.report.language import speaking
    from seatrial.results.run_folder import read_run
    from seatrial.store.files import write_text
    from seatrial.workflow.run import write_report

    target = find_path(output)
    if format is None and target is not None:
        raise UsageError("--output is for one form, and --format names none", "give --format, such as --format html")
    if format is None:
        with speaking(language):
            html, markdown, found = write_report(Path(folder), progress or silent)
        return ReportResult(found, (html, markdown), None)
    check_form(format, target)
    found = read_run(Path(folder))
    text = write_form(found, format, language)
    if target is not None:
        write_text(target, text)
    return ReportResult(found, () if target is None else (target,), text)
