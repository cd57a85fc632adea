"""What a run would do, as a table or JSON."""

from dataclasses import asdict
from typing import Any

from seatrial.progress import write_duration
from seatrial.report.formats import Grid, write_columns
from seatrial.workflow.run_plan import PlannedStage, RunPlan


def write_plan(plan: RunPlan) -> str:
    """A row for each stage, then how long the rest takes as far as that is known."""
    rows = [
        [stage.stage, stage.engine or "–", "done" if stage.done else "to do", _write_time(stage), stage.what]
        for stage in plan.stages
    ]
    grid = Grid(["stage", "engine", "state", "time", "what"], rows, left=(0, 1, 2, 4))
    return "\n".join([write_columns(grid), "", *_sum_up(plan)])


def _write_time(stage: PlannedStage) -> str:
    if stage.done:
        return "–"
    return "unknown" if stage.seconds is None else write_duration(stage.seconds)


def _sum_up(plan: RunPlan) -> list[str]:
    left = [stage for stage in plan.stages if not stage.done]
    if not left:
        return ["every stage is done; the verdict and the report are written anew"]
    sources = dict.fromkeys(stage.source for stage in left if stage.source)
    lines = [f"{len(left)} of {len(plan.stages)} stages are to do"]
    if sources:
        lines.append(f"{write_duration(plan.seconds)}, as long as they took on this machine in {', '.join(sources)}")
    if plan.unknown:
        names = ", ".join(f"{stage.stage} {stage.engine}".strip() for stage in plan.unknown)
        lines.append(f"unknown, as no run on this machine took their time: {names}")
    return lines


def list_plan(plan: RunPlan) -> dict[str, Any]:
    """Every stage by name; `seconds` is null where it is not known."""
    return {
        "output": str(plan.spec.output),
        "stages": [asdict(stage) for stage in plan.stages],
        "seconds": plan.seconds,
        "unknown": len(plan.unknown),
    }
