"""How sure the engines are, how often they are right then, and how far that moved from the reference."""

import numpy as np
from numpy.typing import NDArray

from seatrial.metrics.calibration import Calibration, calibration_drift, measure_calibration
from seatrial.report.numbers import write_count, write_percent, write_points
from seatrial.report.tables import ENGINE, NOTHING, Table, numbers
from seatrial.results.run import Run
from seatrial.store.predictions import Predictions, restrict


def make_confidence(run: Run) -> Table:
    """Mean confidence, calibration error and its drift by engine."""
    measured = {name: found for name, ours in run.predictions.items() if (found := calibrate(ours)) is not None}
    rows = tuple(
        (
            name,
            write_count(len(run.predictions[name].ids)),
            write_percent(found.confidence),
            write_percent(found.accuracy),
            write_points(100 * (found.confidence - found.accuracy)),
            write_percent(found.error),
            _write_drift(run, name, found),
        )
        for name, found in measured.items()
    )
    columns = (
        ENGINE,
        *numbers("Images", "Mean confidence, %", "Right, %", "Overconfident by, points"),
        *numbers("Calibration error, %", f"Drift against {run.reference}, points"),
    )
    note = (
        "The confidence is the softmax of the first class. The calibration error is the mean distance between "
        "confidence and share of right predictions over 15 bins of confidence (Guo et al. 2017); its drift is how much "
        "larger it became than the reference's on the same images."
    )
    absent = "Not stored: these predictions hold no softmax denominators."
    if run.predictions and all(predictions.labels is None for predictions in run.predictions.values()):
        absent = "The images have no labels."
    return Table("Confidence", note, columns, rows, absent)


def calibrate(predictions: Predictions) -> Calibration | None:
    """The calibration of first classes; None where confidences or labels are not stored."""
    confidences: NDArray[np.float64] | None = predictions.confidences()
    if confidences is None or predictions.labels is None:
        return None
    return measure_calibration(confidences[:, 0], predictions.classes[:, 0] == predictions.labels)


def _write_drift(run: Run, name: str, found: Calibration) -> str:
    reference, ours = run.predictions.get(run.reference), run.predictions[name]
    if reference is None or name == run.reference:
        return NOTHING
    theirs = restrict(reference, ours.ids)
    of_reference = calibrate(theirs) if theirs.ids == ours.ids else None
    return NOTHING if of_reference is None else write_points(100 * calibration_drift(found, of_reference))
