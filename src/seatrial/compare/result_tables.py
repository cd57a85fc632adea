"""What `compare` found as rows of finished text, the same for a terminal and a notebook."""

from collections.abc import Callable, Sequence

from seatrial.compare.predictions import Accuracy
from seatrial.compare.speed_table import ShownColumn, SpeedTable
from seatrial.compare.training_table import TrainingSpeedRow, TrainingTable
from seatrial.metrics.classification import METRICS, Estimate
from seatrial.report.formats import Grid
from seatrial.report.numbers import write_exact, write_figures, write_ratio
from seatrial.results.speed import Rate

UNKNOWN = "not stated"
GUIDE_HEADER = ("NAME", "Acc@1", "FPS", "Epochs", "AMP_Type", "Torch_Version")
"""Header of the guides' result table."""


def tabulate_rates(table: SpeedTable) -> Grid:
    """Rates and ratios by batch size, with their intervals."""
    rows = []
    for size in table.sizes:
        rates = [_write_rate(s.figures[size].rate) if size in s.figures else "–" for s in table.columns]
        ratios = ["–" if (rate := ratio.at(size)) is None else _write_whole_ratio(rate) for ratio in table.ratios]
        rows.append([name_size(size), *rates, *ratios])
    best = [*map(_write_best, table.columns), *(_write_whole_ratio(ratio.best) for ratio in table.ratios)]
    return Grid(["batch", *name_columns(table)], [*rows, ["best", *best]])


def name_columns(table: SpeedTable) -> list[str]:
    """The columns of rates, then those of ratios."""
    return [*(s.column.name for s in table.columns), *(f"{ratio.of}/{ratio.to}" for ratio in table.ratios)]


def name_size(size: int | None) -> str:
    """A batch size, which a record may leave out."""
    return UNKNOWN if size is None else str(size)


def _write_best(shown: ShownColumn) -> str:
    size, figure = shown.best
    return f"{write_figures(figure.rate.value, 4)} at {name_size(size)}"


def _write_rate(rate: Rate) -> str:
    return _write_bounds(rate, lambda value: write_figures(value, 4))


def _write_whole_ratio(ratio: Rate) -> str:
    return "withheld" if ratio.doubt else _write_bounds(ratio, write_ratio)


def _write_bounds(rate: Rate, write: Callable[[float], str]) -> str:
    return write(rate.value) + (f" ({' to '.join(map(write, rate.bounds))})" if rate.bounds else "")


def tabulate_accuracies(accuracies: Sequence[Accuracy]) -> Grid:
    """Metrics by row, files of predictions by column."""
    rows = [
        [metric.title, *(_write_estimate(accuracy.metrics.get(name)) for accuracy in accuracies)]
        for name, metric in METRICS.items()
        if any(name in accuracy.metrics for accuracy in accuracies)
    ]
    return Grid([f"{accuracies[0].images} images", *(accuracy.name for accuracy in accuracies)], rows)


def _write_estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2%}"
    return f"{estimate.value:.2%} ({100 * estimate.low:.2f} to {100 * estimate.high:.2f})"


def tabulate_trainings(table: TrainingTable, more: bool) -> Grid:
    """The guides' columns and, with `more`, those that they leave out."""
    header, rows = list(GUIDE_HEADER), list(map(_list_guide_cells, table.rows))
    if more:
        header += ["batch", "devices", "interval", "waiting for images"]
        rows = [[*cells, *_list_more_cells(row)] for cells, row in zip(rows, table.rows, strict=True)]
    return Grid(header, rows)


def _list_guide_cells(row: TrainingSpeedRow) -> list[str]:
    speed = row.speed
    top1 = "-" if speed.top1 is None else f"{100 * speed.top1:.3f}"
    epochs = "-" if speed.epochs is None else str(speed.epochs)
    return [row.name, top1, write_exact(row.rate.value, 3), epochs, speed.precision or "-", speed.torch or "-"]


def _list_more_cells(row: TrainingSpeedRow) -> list[str]:
    rate = row.rate
    bounds = "–" if rate.bounds is None else " to ".join(f"{bound:.1f}" for bound in rate.bounds)
    waiting = "–" if row.speed.data_share is None else f"{row.speed.data_share:.1%}"
    return [str(row.speed.batch_size), str(row.speed.cards), bounds, waiting]
