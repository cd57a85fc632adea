"""A run compared with an earlier one, as text, Markdown for a pull request, or JSON."""

from typing import Any

from seatrial.cli.output.speed import list_ratio
from seatrial.cli.output.tables import Layout, write_blocks
from seatrial.compare.change_tables import tabulate_changes
from seatrial.compare.regression import Changes, EngineChange
from seatrial.report.formats import escape


def write_changes(changes: Changes, layout: Layout) -> str:
    """The verdict with what decided it, accuracy, speed, and what else is different."""
    found, verdict = tabulate_changes(changes), changes.verdict.outcome
    lines = found.lines if layout is Layout.MARKDOWN else (*found.lines, f"{verdict}: {found.title}")
    return write_blocks(
        layout,
        f"**{verdict}**: {escape(found.title)}" if layout is Layout.MARKDOWN else found.title,
        found.accuracy,
        found.speed,
        found.changed,
        lines,
    )


def list_changes(changes: Changes) -> dict[str, Any]:
    """Everything by name, every figure in full precision."""
    return {
        "before": changes.before,
        "after": changes.after,
        "engines": {engine.name: _list_engine(engine) for engine in changes.engines},
        "only": changes.only,
        "changed": changes.changed,
        "gates": changes.verdict.gates,
        "outcome": changes.verdict.outcome,
        "exit_code": changes.verdict.exit_code,
    }


def _list_engine(engine: EngineChange) -> dict[str, Any]:
    facts: dict[str, Any] = {"changed": engine.changed}
    if engine.accuracy is not None:
        accuracy = engine.accuracy
        facts["accuracy"] = {"before": accuracy.before, "after": accuracy.after, "versus": accuracy.differences.versus}
        facts["accuracy"]["agreement"] = accuracy.differences.agreement
    if engine.speed is not None:
        ratio, best = engine.speed.ratio, engine.speed.best
        facts["speed"] = {
            "ratios": {str(size): list_ratio(rate) for size, rate in ratio.by_size.items()},
            "best": None if best is None else list_ratio(best),
            "only": engine.speed.lone_sizes,
            "unlike": engine.speed.unlike,
        }
    return facts
