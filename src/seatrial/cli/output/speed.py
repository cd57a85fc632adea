"""Records side by side, as text, Markdown, a guide's table or JSON."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from seatrial.cli.output.gates import describe_gate
from seatrial.cli.output.tables import BEST, RATE_DIGITS, RATIO_DIGITS, Layout, write_blocks
from seatrial.compare.result_tables import name_columns, name_size, tabulate_rates
from seatrial.compare.speed_table import RatioColumn, SpeedTable
from seatrial.metrics.trust import MEASURE_AGAIN
from seatrial.report.doubts import merge_doubts
from seatrial.report.formats import Grid
from seatrial.report.numbers import write_exact, write_ratio
from seatrial.results.speed import Rate


def write_speeds(table: SpeedTable, layout: Layout) -> str:
    """The table, what the best batch hides, the notes and the verdict of each gate."""
    grid = _tabulate_guide(table) if layout is Layout.GUIDE else tabulate_rates(table)
    lines = [*map(_describe_ratio, table.ratios), *_list_notes(table), *_list_gates(table)]
    return write_blocks(layout, grid, lines)


def _tabulate_guide(table: SpeedTable) -> Grid:
    """Exact figures as the guides print them, without intervals."""
    rows = []
    for size in table.sizes:
        rates = {s.column.name: s.figures[size].rate for s in table.columns if size in s.figures}
        name = name_size(size) if size is None else f"bs{size}"
        rows.append([name, *_list_printed(table, rates, [ratio.at(size) for ratio in table.ratios])])
    best = {s.column.name: s.best[1].rate for s in table.columns}
    rows.append([BEST, *_list_printed(table, best, [ratio.best for ratio in table.ratios])])
    return Grid(["", *name_columns(table)], rows)


def _list_printed(table: SpeedTable, rates: Mapping[str, Rate], ratios: Sequence[Rate | None]) -> list[str]:
    """Rates, and ratios of them as they are printed, so that whoever divides gets the same."""
    printed = {name: write_exact(rate.value, RATE_DIGITS) for name, rate in rates.items()}
    quotients = [
        ""
        if rate is None or rate.doubt
        else write_exact(Decimal(printed[ratio.of]) / Decimal(printed[ratio.to]), RATIO_DIGITS)
        for ratio, rate in zip(table.ratios, ratios, strict=True)
    ]
    return [*(printed.get(s.column.name, "") for s in table.columns), *quotients]


def _describe_ratio(ratio: RatioColumn) -> str:
    if ratio.best.doubt:
        return f"{ratio.of} against {ratio.to} is withheld: {ratio.best.doubt}; {MEASURE_AGAIN}"
    text = f"{ratio.of} is {write_ratio(ratio.best.value)} × {ratio.to}, each at its best batch size"
    if ratio.exceptions:
        other = "slower" if ratio.best.value >= 1 else "faster"
        sizes = ", ".join(f"{size} ({write_ratio(ratio.by_size[size].value)})" for size in ratio.exceptions)
        text += f"; but {other} at batch {sizes}"
    return text


def _list_notes(table: SpeedTable) -> Iterator[str]:
    for shown in table.columns:
        facts = shown.column.facts
        yield f"{shown.column.name}: {shown.column.origin}, {facts.get('precision') or 'precision not stated'}"
    yield from (f"note: {note}" for note in table.notes)
    for shown in table.columns:
        yield from (f"doubt: {shown.column.name}: {doubt}" for doubt in merge_doubts(shown.column.doubts))


def _list_gates(table: SpeedTable) -> Iterator[str]:
    for gate in table.gates:
        sizes = ", ".join(map(str, gate.exceptions))
        limit = f"; it would fail at batch {sizes}" if sizes and gate.result.outcome == "PASS" else ""
        yield f"{gate.result.outcome}: {describe_gate(gate.result)}{limit}"


def list_speeds(table: SpeedTable) -> dict[str, Any]:
    """Everything by name, every figure in full precision."""
    values: dict[str, Any] = {
        "columns": [
            {
                "name": s.column.name,
                "origin": s.column.origin,
                "scope": s.basis.scope,
                "images_per_s_of": s.basis.unit,
                "chips_per_card": s.column.chips_per_card,
                "facts": s.column.facts,
                "rates": [{"batch_size": n, "streams": f.streams, **_list_rate(f.rate)} for n, f in s.figures.items()],
                "best_batch_size": s.best[0],
                "doubts": s.column.doubts,
            }
            for s in table.columns
        ],
        "ratios": [
            {
                "of": ratio.of,
                "to": ratio.to,
                "by_batch_size": {str(size): list_ratio(rate) for size, rate in ratio.by_size.items()},
                "best": list_ratio(ratio.best),
                "exceptions": ratio.exceptions,
            }
            for ratio in table.ratios
        ],
        "unlike": table.unlike,
        "notes": table.notes,
        "gates": [{**gate.result.model_dump(mode="json"), "exceptions": gate.exceptions} for gate in table.gates],
    }
    if table.verdict is not None:
        values |= {"outcome": table.verdict.outcome, "exit_code": table.verdict.exit_code}
    return values


def list_ratio(ratio: Rate) -> dict[str, Any]:
    """A ratio by name; one that is withheld has no figures, and the reason."""
    return {"value": None, "low": None, "high": None, "withheld": ratio.doubt} if ratio.doubt else _list_rate(ratio)


def _list_rate(rate: Rate) -> dict[str, float | None]:
    low, high = rate.bounds or (None, None)
    return {"value": rate.value, "low": low, "high": high}
