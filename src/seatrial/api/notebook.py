"""Results as small tables: text for `print`, and for a notebook escaped HTML without script or style of ours."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from seatrial.printable import make_printable
from seatrial.report.formats import Grid, write_columns

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.compare.regression import Changes
    from seatrial.compare.speed_table import SpeedTable
    from seatrial.compare.training_table import TrainingTable
    from seatrial.results.run import Run
    from seatrial.store.choice import Choice
    from seatrial.store.measurement import Measurement, Scope
    from seatrial.store.records import AccuracyRecord, EngineManifest, GateResult, GraphManifest, Verdict
    from seatrial.store.training import TrainingRecord
    from seatrial.workflow.compare.predictions import PredictionsComparison
    from seatrial.workflow.predict import ClassShare

    Compared = PredictionsComparison | Changes | SpeedTable | TrainingTable

Block = str | Grid
Blocks = tuple[Block, ...]


def write_html(*blocks: Block) -> str:
    """Paragraphs and tables; empty ones are left out."""
    return "\n".join(map(_write_block, filter(_has_content, blocks)))


def write_text(*blocks: Block) -> str:
    """The same in lines, an empty one between two blocks."""
    shown = [
        make_printable(each) if isinstance(each, str) else write_columns(each) for each in blocks if _has_content(each)
    ]
    return "\n\n".join(shown)


def _has_content(block: Block) -> bool:
    return bool(block if isinstance(block, str) else block.rows)


def _write_block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{_escape(block)}</p>"
    header = "".join(_write_cell("th", cell, place in block.left) for place, cell in enumerate(block.header))
    rows = [
        "<tr>" + "".join(_write_cell("td", cell, place in block.left) for place, cell in enumerate(row)) + "</tr>"
        for row in block.rows
    ]
    return "\n".join(["<table>", f"<thead><tr>{header}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>"])


def _write_cell(tag: str, text: str, left: bool) -> str:
    return f'<{tag} style="text-align: {"left" if left else "right"}">{_escape(text)}</{tag}>'


def _escape(text: str) -> str:
    return html.escape(make_printable(text))


def show_choice(choice: "Choice") -> Blocks:
    """What to deploy, and what became of every candidate."""
    from seatrial.report.choice import conclude, tabulate

    return (" ".join(conclude(choice)), tabulate(choice))


def show_run(run: "Run") -> Blocks:
    """The verdict, and every engine's accuracy and speed."""
    from seatrial.report.headline import write_verdict
    from seatrial.report.tables import make_summary

    return (write_verdict(run), replace(make_summary(run).grid, left=(0,)))


def show_verdict(verdict: "Verdict | None", gates: "Sequence[GateResult]") -> Iterator[Block]:
    """The outcome and what decided it; nothing where nothing was judged."""
    from seatrial.api.tables import tabulate_gates

    if verdict is not None:
        yield verdict.outcome
        yield tabulate_gates(gates)


def show_accuracy(record: "AccuracyRecord", verdict: "Verdict | None", gates: "Sequence[GateResult]") -> Blocks:
    """What was measured, what was judged, and the doubts."""
    from seatrial.api.tables import tabulate_accuracy

    if record.fake:
        return (f"{record.name}: {record.images} images, many of them the same under several names",)
    doubts = [f"doubt: {doubt}" for doubt in record.doubts]
    return (tabulate_accuracy(record), *show_verdict(verdict, gates), *doubts)


def show_speed(record: "Measurement", scopes: "Sequence[Scope]") -> Blocks:
    """A table for each scope, and the doubts."""
    from seatrial.api.tables import tabulate_speeds
    from seatrial.report.doubts import merge_doubts
    from seatrial.results.speed import measure_speeds

    blocks: list[Block] = []
    for scope in scopes:
        blocks += [f"scope {scope}", tabulate_speeds(measure_speeds(record, scope))]
    return (*blocks, *(f"doubt: {doubt}" for doubt in merge_doubts(record.doubts)))


def show_comparison(found: "Compared", verdict: "Verdict | None") -> Blocks:
    """What was compared, and what was judged."""
    return (*_list_compared(found), *show_verdict(verdict, verdict.gates if verdict else ()))


def _list_compared(found: "Compared") -> Iterator[Block]:
    from seatrial.compare.change_tables import tabulate_changes
    from seatrial.compare.regression import Changes
    from seatrial.compare.result_tables import tabulate_accuracies, tabulate_rates, tabulate_trainings
    from seatrial.compare.speed_table import SpeedTable
    from seatrial.compare.training_table import TrainingTable

    if isinstance(found, Changes):
        tables = tabulate_changes(found)
        yield from (tables.title, tables.accuracy, tables.speed, tables.changed)
    elif isinstance(found, SpeedTable):
        yield tabulate_rates(found)
        yield from (f"note: {note}" for note in found.notes)
    elif isinstance(found, TrainingTable):
        yield tabulate_trainings(found, more=True)
        yield from (f"note: {note}" for note in found.notes)
    else:
        yield tabulate_accuracies(found.accuracies)


def show_graph(path: "Path", manifest: "GraphManifest") -> Blocks:
    """Where it is, what it takes, and how far each step moved its outputs."""
    from seatrial.api.tables import tabulate_parity

    shape = "×".join("N" if size is None else str(size) for size in manifest.input.shape)
    title = f"{path}: opset {manifest.opset}, {manifest.precision}, '{manifest.input.name}' "
    return (f"{title}{manifest.input.dtype} {shape}", tabulate_parity(manifest, synthetic=False))


def show_engine(folder: "Path", built: "EngineManifest") -> Blocks:
    """What was built, and the layers by the precision that was read back."""
    layers = Grid(["layers in", "number"], [[name, str(count)] for name, count in sorted(built.executed.items())])
    return (f"{folder}: {built.engine} {built.sdk_version} {built.precision} on {built.device}", layers)


def show_training(folder: "Path", record: "TrainingRecord") -> Blocks:
    """A row for each epoch."""
    from seatrial.api.tables import tabulate_epochs

    return (str(folder), tabulate_epochs(record.epochs))


def show_prediction(image: str, engine: str, best: "Sequence[ClassShare]") -> Blocks:
    """The best classes and their confidences."""
    rows = [[each.shown, f"{each.share:.1%}"] for each in best]
    return (f"{image}, by {engine}", Grid(["class", "confidence"], rows))
