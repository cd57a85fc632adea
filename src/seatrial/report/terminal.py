"""A run in a few lines of plain text, the verdict last."""

from dataclasses import replace

from seatrial.printable import make_printable
from seatrial.report.doubt_tables import write_doubts
from seatrial.report.formats import Grid, write_columns
from seatrial.report.headline import gates_of, write_speed, write_verdict
from seatrial.report.numbers import write_figures
from seatrial.report.speed import all_speeds
from seatrial.report.tables import NOTHING, make_summary
from seatrial.results.run import Run, describe_reference


def describe_run(run: Run) -> str:
    """Accuracy and speed by engine, images/s by batch size, what failed and why, and the verdict."""
    summary = make_summary(run)
    blocks = [write_columns(replace(summary.grid, left=(0,)))]
    speeds = _list_speeds(run)
    if speeds.rows:
        blocks.append("Images/s by batch size\n" + write_columns(speeds))
    open_gates = [gate for gate in gates_of(run) if gate.outcome != "PASS"]
    blocks += [
        make_printable(f"{' '.join(filter(None, (gate.outcome, gate.engine, gate.gate)))}: {gate.reason}")
        for gate in open_gates
    ]
    if (run.folder / "report.html").exists():
        blocks.append(make_printable(f"report: {run.folder / 'report.html'}"))
    doubts = write_doubts(run)
    if doubts:
        blocks.append(make_printable(doubts.replace("see Doubts.", "see Doubts in the report.")))
    words = describe_reference(run.recipe)
    if words:
        blocks.append(make_printable(f"reference: {words}"))
    blocks.append("\n".join(map(make_printable, (write_speed(run), write_verdict(run)))))
    return "\n\n".join(blocks)


def _list_speeds(run: Run) -> Grid:
    rates = {name: {speed.batch: speed.images_per_s for speed in speeds} for name, speeds in all_speeds(run).items()}
    sizes = list(dict.fromkeys(size for by_size in rates.values() for size in by_size))
    rows = [[name, *(write_figures(r[s]) if s in r else NOTHING for s in sizes)] for name, r in rates.items()]
    return Grid(["Engine", *sizes], rows)
