"""Stored records as rows of finished text, the same for a terminal and a notebook."""

from collections.abc import Sequence

from seatrial.metrics.classification import METRICS
from seatrial.report.formats import Grid
from seatrial.report.numbers import write_figures
from seatrial.report.tables import write_interval
from seatrial.results.speed import Speed
from seatrial.store.measurement import EnergyScope
from seatrial.store.records import NO_LABELS, AccuracyRecord, GateResult, GraphManifest
from seatrial.store.training import Epoch

HEADER = ("batch", "images/s", "95 % interval", "min ms", "mean", "median", "p90", "p95", "p99", "sd", "samples")


def tabulate_accuracy(record: AccuracyRecord) -> Grid:
    """What was measured; without labels it says so."""
    if not record.labelled:
        return Grid(["engine", "images", "top-1"], [[record.name, str(record.images), NO_LABELS]])
    values = {
        metric.title: f"{record.metrics[name].value:.2%}" for name, metric in METRICS.items() if name in record.metrics
    }
    top1 = record.metrics["top1"]
    return Grid(
        ["engine", "images", *values, "top-1, 95 %"],
        [[record.name, str(record.images), *values.values(), f"{top1.low:.2%} to {top1.high:.2%}"]],
    )


def list_meters(speeds: Sequence[Speed]) -> list[EnergyScope]:
    """What measured the energy of any of them."""
    return list(dict.fromkeys(meter for speed in speeds for meter in speed.joules_per_image))


def tabulate_speeds(speeds: Sequence[Speed]) -> Grid:
    """A row for each batch size: rate, times in ms, energy."""
    meters = list_meters(speeds)
    header = [*HEADER, *(f"J/image, {meter}" for meter in meters)]
    return Grid(header, [_write_row(speed, meters) for speed in speeds])


def _write_row(speed: Speed, meters: Sequence[EnergyScope]) -> list[str]:
    t, joules = speed.latency, speed.joules_per_image
    times = (t.min_ms, t.mean_ms, t.median_ms, t.p90_ms, t.p95_ms, t.p99_ms, t.standard_deviation_ms)
    return [
        speed.batch,
        f"{speed.images_per_s:.1f}",
        write_interval(speed),
        *(f"{ms:.2f}" for ms in times),
        str(t.samples),
        *(write_figures(joules[meter]) if meter in joules else "–" for meter in meters),
    ]


def tabulate_parity(manifest: GraphManifest, synthetic: bool) -> Grid:
    """How far each step of making a graph moved its outputs."""
    rows = [
        [p.step, str(p.images), f"{p.relative_error:.1e}", f"{p.largest_error:.1e}", str(p.top1_disagreements)]
        for p in manifest.parity
    ]
    kind = "synthetic images" if synthetic else "images"
    return Grid(["step", kind, "relative error", "largest error", "other first class"], rows)


def tabulate_gates(gates: Sequence[GateResult]) -> Grid:
    """What was judged, and why it came out so."""
    rows = [[gate.outcome, gate.engine, gate.gate, gate.reason] for gate in gates]
    return Grid(["outcome", "engine", "gate", "why"], rows, (0, 1, 2, 3))


def tabulate_epochs(epochs: Sequence[Epoch]) -> Grid:
    """A row for each epoch."""
    rows = [
        [str(e.epoch), f"{e.loss:.3f}", _share(e.train_top1), _share(e.val_top1), f"{e.images_per_s:.0f}"]
        for e in epochs
    ]
    return Grid(["epoch", "loss", "train top-1", "held-out top-1", "images/s"], rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"
