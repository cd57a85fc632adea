"""Prints the results of a training: epochs, speed as the guides print it, and a table of several speeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.cli.output.guides import WRONG
from seatrial.cli.output.tables import Layout, write_blocks
from seatrial.compare.result_tables import GUIDE_HEADER, tabulate_trainings
from seatrial.compare.training_table import Scaling, TrainingTable
from seatrial.metrics.rate import find_rate_interval
from seatrial.metrics.topk import K
from seatrial.recipes.claims import Claim, find_scalings
from seatrial.recipes.schema import Guide, Recipe
from seatrial.report.formats import Grid
from seatrial.report.numbers import write_exact, write_ratio
from seatrial.store.training import TrainingRecord, TrainingSpeedRecord, Validation


def write_outcome(record: TrainingRecord, output: Path) -> str:
    """Where the checkpoint is, and its accuracy."""
    lines = [f"checkpoint: {output / record.checkpoint} ({record.precision})"] if record.checkpoint else []
    if record.validation is not None:
        val = record.validation
        counted = f"{val.images} of {val.of_images}" if val.is_partial else str(val.images)
        # Of five classes or fewer the label is always among the first five.
        top5 = "" if val.classes is not None and val.classes <= K else f"top-{K} {val.top5:.3%}, "
        result = f"top-1 {val.top1:.3%}, {top5}loss {val.loss:.4f}"
        lines.append(f"held-out: {result}; {counted} images, each counted once")
    if record.bad_images:
        lines.append(f"left out: {len(record.bad_images)} images that could not be read, listed in the record")
    return "\n".join(lines)


FINAL_RESULT = "------------------ Final result ------------------"


def write_final_result(images_per_s: str, accuracy: str, seconds: str) -> str:
    """The lines that the guides' scripts end with, below `FINAL_RESULT` where they trained."""
    return "\n".join(
        [
            f"Final Performance images/sec : {images_per_s}",
            f"Final Train Accuracy : {accuracy}",
            f"E2E Training Duration sec : {seconds}",
        ]
    )


def write_speed_result(speed: TrainingSpeedRecord) -> str:
    """These lines of a training that was timed."""
    accuracy = "" if speed.top1 is None else f"{100 * speed.top1:.3f}"
    return f"{FINAL_RESULT}\n{write_final_result(f'{speed.images_per_s:.3f}', accuracy, f'{speed.wall_s:.0f}')}"


def write_case_result(facts: Mapping[str, str], validation: Validation | None) -> str:
    """These lines from a `{CaseName}.log`; one of a validation has no rate, and its block no header."""
    accuracy, seconds = facts.get("TrainAccuracy", ""), facts.get("E2ETrainingTime", "")
    if "ActualFPS" in facts or validation is None:
        return f"{FINAL_RESULT}\n{write_final_result(facts.get('ActualFPS', ''), accuracy, seconds)}"
    return write_final_result(f"{validation.images / validation.seconds:.6g}", accuracy, seconds)


def write_speed(speed: TrainingSpeedRecord) -> str:
    """What the guides' block leaves out: interval, conditions and waiting time."""
    interval = find_rate_interval(speed.images, speed.seconds)
    bounds = "too few steps for an interval"
    if interval is not None:
        bounds = f"95 % interval {' to '.join(write_exact(bound, 1) for bound in interval)}, of this process"
    height, width = speed.size
    source = "random images" if speed.synthetic else "images from files"
    lines = [
        f"{len(speed.images)} steps of {speed.batch_size} {source} at {height}x{width} in {speed.precision} on "
        f"{speed.processes} × {speed.device}, after {speed.excluded} steps of warm-up: {bounds}",
        f"waiting for images took {speed.data_share:.1%} of the time",
        *(f"doubt: {doubt}" for doubt in speed.doubts),
    ]
    return "\n".join(lines)


def write_trainings(table: TrainingTable, layout: Layout) -> str:
    """A table of trainings, how they scale, and notes."""
    grid = tabulate_trainings(table, more=layout is not Layout.GUIDE)
    lines = [*map(_describe_scaling, table.scalings), *(f"note: {note}" for note in table.notes)]
    lines += [f"doubt: {row.name}: {doubt}" for row in table.rows for doubt in row.speed.doubts]
    return _join(layout, grid.header, grid.rows, lines)


def _join(layout: Layout, header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[str]) -> str:
    return write_blocks(Layout.MARKDOWN if layout is Layout.GUIDE else layout, Grid(header, rows), lines)


def _describe_scaling(scaling: Scaling) -> str:
    gain = write_ratio(scaling.gain.value)
    devices = f"{scaling.times} × the devices"
    text = f"{scaling.of} is {gain} × {scaling.to} with {devices}: {scaling.efficiency:.1%} of linear"
    if scaling.gain.bounds is not None:
        text += f" ({' to '.join(f'{bound / scaling.times:.1%}' for bound in scaling.gain.bounds)})"
    if scaling.impossible:
        text = f"{WRONG} {text}, which is impossible as scaling"
    if scaling.differences:
        text += f"; differs in {', '.join(scaling.differences)}"
    return text


def list_trainings(table: TrainingTable) -> dict[str, Any]:
    """The table as JSON values."""
    return {
        "trainings": [
            {
                "name": row.name,
                "recipe": row.speed.recipe,
                "top1": row.speed.top1,
                "images_per_s": row.rate.value,
                "interval": list(row.rate.bounds or (None, None)),
                "epochs": row.speed.epochs,
                "precision": row.speed.precision,
                "torch": row.speed.torch,
                "batch_size": row.speed.batch_size,
                "devices": row.speed.cards,
                "processes": row.speed.processes,
                "data_share": row.speed.data_share,
                "doubts": list(row.speed.doubts),
            }
            for row in table.rows
        ],
        "scalings": [
            {
                "of": s.of,
                "to": s.to,
                "times": s.times,
                "gain": s.gain.value,
                "interval": list(s.gain.bounds or (None, None)),
                "efficiency": s.efficiency,
                "impossible": s.impossible,
                "unlike": list(s.differences),
            }
            for s in table.scalings
        ],
        "notes": list(table.notes),
    }


def write_training_guide(recipe: Recipe, guide: Guide, layout: Layout) -> str:
    """The result table of a card's guide; in the guides' layout without the marks of what is wrong in it."""
    rows = [
        [
            f"{row.cards}p-{row.device}",
            "-" if row.top1 is None else write_exact(100 * row.top1, 3),
            write_exact(row.images_per_s, 3),
            "-" if row.epochs is None else str(row.epochs),
            row.precision or "-",
            row.torch or "-",
        ]
        for row in guide.training
    ]
    lines = [] if layout is Layout.GUIDE else [_describe_claim(claim) for claim in find_scalings(recipe)]
    return f"{recipe.name}: {guide.title}\n\n{_join(layout, GUIDE_HEADER, rows, lines)}"


def _describe_claim(claim: Claim) -> str:
    text = f"{claim.what}: {claim.stated} is {claim.correct}"
    return text if claim.holds else f"{WRONG} {text}; impossible as scaling: {claim.note}"


def list_training_guide(recipe: Recipe, guide: Guide) -> dict[str, Any]:
    """The table as JSON values."""
    return {
        "recipe": recipe.name,
        "title": guide.title,
        "rows": [row.model_dump(mode="json") for row in guide.training],
        "scalings": [
            {"what": c.what, "stated": c.stated, "correct": c.correct, "holds": c.holds, "note": c.note}
            for c in find_scalings(recipe)
        ],
    }
