"""The verbs of the command line as functions: the same names, the same defaults, the stored records as results.

An option `--batch-size 1,8` is the keyword `batch_size="1,8"`, and may be `[1, 8]`; a path may be a text. `progress` is
called with each `seatrial.progress.Update`. What the command ends with an exit code for is one of the classes of
`seatrial.errors`. Importing this loads no framework; a function loads what it needs.
"""

from seatrial.api.choose import choose
from seatrial.api.judge import compare, evaluate, load_recipe, predict, predict_all
from seatrial.api.measure import bench
from seatrial.api.prepare import compile, export, quantize
from seatrial.api.results import (
    AccuracyResult,
    ChoiceResult,
    ComparisonResult,
    EngineResult,
    GraphResult,
    Prediction,
    ReportResult,
    RunResult,
    SpeedResult,
    TrainResult,
)
from seatrial.api.training import train
from seatrial.api.trial import report, run
from seatrial.errors import SeatrialError
from seatrial.progress import Update

__all__ = [
    "AccuracyResult",
    "ChoiceResult",
    "ComparisonResult",
    "EngineResult",
    "GraphResult",
    "Prediction",
    "ReportResult",
    "RunResult",
    "SeatrialError",
    "SpeedResult",
    "TrainResult",
    "Update",
    "bench",
    "choose",
    "compare",
    "compile",
    "evaluate",
    "export",
    "load_recipe",
    "predict",
    "predict_all",
    "quantize",
    "report",
    "run",
    "train",
]
