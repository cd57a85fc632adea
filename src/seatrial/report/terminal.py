"""A run in a few lines of plain text, the verdict last."""

from pathlib import Path

from seatrial.report.headline import gates_of, write_speed, write_verdict
from seatrial.report.numbers import count_of, write_figures
from seatrial.report.provenance import find_doubts
from seatrial.report.speed import all_speeds
from seatrial.report.tables import NOTHING, make_summary
from seatrial.results.run_folder import Run, read_run


def describe_run(folder: Path) -> str:
    """Accuracy and speed by engine, images/s by batch size, what failed and why, and the verdict.

    Raises:
        UsageError: the folder is no run.
        RefusedFile: a record in it is damaged.
    """
    run = read_run(folder)
    summary = make_summary(run)
    blocks = [write_columns([[column.name for column in summary.columns], *map(list, summary.rows)])]
    speeds = _list_speeds(run)
    if len(speeds) > 1:
        blocks.append("Images/s by batch size\n" + write_columns(speeds))
    open_gates = [gate for gate in gates_of(run) if gate.outcome != "PASS"]
    blocks += [f"{gate.outcome} {gate.engine} {gate.gate}: {gate.reason}" for gate in open_gates]
    if (folder / "report.html").exists():
        blocks.append(f"report: {folder / 'report.html'}")
    doubts = len(find_doubts(run))
    if doubts:
        blocks.append(f"{count_of(doubts, 'doubt')} about these figures: see Doubts in the report")
    blocks.append(f"{write_speed(run)}\n{write_verdict(run)}")
    return "\n\n".join(blocks)


def write_columns(rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    """Rows under each other; the columns in `left` are left aligned, the rest right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (row[i].ljust(width) if i in left else row[i].rjust(width) for i, width in enumerate(widths))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _list_speeds(run: Run) -> list[list[str]]:
    rates = {name: {speed.batch: speed.images_per_s for speed in speeds} for name, speeds in all_speeds(run).items()}
    sizes = list(dict.fromkeys(size for by_size in rates.values() for size in by_size))
    rows = [[name, *(write_figures(r[s]) if s in r else NOTHING for s in sizes)] for name, r in rates.items()]
    return [["Engine", *sizes], *rows]
