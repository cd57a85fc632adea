"""Records side by side, as text, Markdown, a guide's table or JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seatrial.cli.output.tables import (
    BEST,
    RATE_DIGITS,
    RATIO_DIGITS,
    Layout,
    write_exact,
    write_guide_table,
    write_ratio,
    write_table,
)

if TYPE_CHECKING:
    from seatrial.compare.speed_table import RatioColumn, Shown, SpeedTable
    from seatrial.results.rate import Rate

NOT_TOLD = "not told"


def write_speeds(found: "SpeedTable", layout: Layout) -> str:
    """The table, what the best batch does not tell, the notes and the verdict of each gate."""
    table = _write_guide(found) if layout is Layout.GUIDE else _write_plain(found, layout)
    lines = [*map(_say_ratio, found.ratios), *_say_notes(found), *_say_gates(found)]
    return f"{table}\n\n{_write_lines(lines, layout)}"


def _write_lines(lines: Sequence[str], layout: Layout) -> str:
    if layout is Layout.TABLE:
        return "\n".join(lines)
    from seatrial.report.markdown import escape

    return "\n".join(f"- {escape(line)}" for line in lines)


def _write_plain(found: "SpeedTable", layout: Layout) -> str:
    header = ["batch", *(s.column.name for s in found.columns), *map(_name_ratio, found.ratios)]
    rows = [[_name_size(size), *_list_cells(found, size)] for size in found.sizes]
    best = [_write_best(shown) for shown in found.columns]
    rows.append(["best", *best, *(_write_whole_ratio(ratio.best) for ratio in found.ratios)])
    return write_table(layout, header, rows)


def _name_ratio(ratio: "RatioColumn") -> str:
    return f"{ratio.of}/{ratio.to}"


def _name_size(size: int | None) -> str:
    return NOT_TOLD if size is None else str(size)


def _list_cells(found: "SpeedTable", size: int | None) -> Iterator[str]:
    for shown in found.columns:
        yield _write_bounds(shown.figures[size].rate, _write_rate) if size in shown.figures else "–"
    for ratio in found.ratios:
        at_size = ratio.at(size)
        yield _write_whole_ratio(at_size) if at_size else "–"


def _write_whole_ratio(ratio: "Rate") -> str:
    return "withheld" if ratio.doubt else _write_bounds(ratio, write_ratio)


def _write_best(shown: "Shown") -> str:
    size, figure = shown.best
    return f"{_write_rate(figure.rate.value)} at {_name_size(size)}"


def _write_rate(value: float) -> str:
    from seatrial.report.numbers import write_figures

    return write_figures(value, 4)


def _write_bounds(rate: "Rate", write: Any) -> str:
    bounds = "" if rate.low is None or rate.high is None else f" ({write(rate.low)} to {write(rate.high)})"
    return f"{write(rate.value)}{bounds}"


def _write_guide(found: "SpeedTable") -> str:
    header = [*(s.column.name for s in found.columns), *map(_name_ratio, found.ratios)]
    rows = []
    for size in found.sizes:
        rates = [
            write_exact(s.figures[size].rate.value, RATE_DIGITS) if size in s.figures else "" for s in found.columns
        ]
        at_size = [ratio.at(size) for ratio in found.ratios]
        ratios = [_write_exact_ratio(rate) for rate in at_size]
        rows.append([NOT_TOLD if size is None else f"bs{size}", *rates, *ratios])
    best = [write_exact(s.best[1].rate.value, RATE_DIGITS) for s in found.columns]
    rows.append([BEST, *best, *(_write_exact_ratio(ratio.best) for ratio in found.ratios)])
    return write_guide_table(header, rows)


def _write_exact_ratio(ratio: "Rate | None") -> str:
    return "" if ratio is None or ratio.doubt else write_exact(ratio.value, RATIO_DIGITS)


def _say_ratio(ratio: "RatioColumn") -> str:
    if ratio.best.doubt:
        from seatrial.metrics.trust import MEASURE_AGAIN

        return f"{ratio.of} against {ratio.to} is withheld, for of one of them {ratio.best.doubt}; {MEASURE_AGAIN}"
    text = f"{ratio.of} is {write_ratio(ratio.best.value)} × {ratio.to}, each at its best batch size"
    if ratio.exceptions:
        other = "slower" if ratio.best.value >= 1 else "faster"
        told = ", ".join(f"{size} ({write_ratio(ratio.by_size[size].value)})" for size in ratio.exceptions)
        text += f"; but {other} at batch {told}"
    return text


def _say_notes(found: "SpeedTable") -> Iterator[str]:
    from seatrial.report.doubts import merge_doubts

    for shown in found.columns:
        facts = shown.column.facts
        yield f"{shown.column.name}: {shown.column.origin}, {facts.get('precision') or 'precision not told'}"
    yield from (f"note: {note}" for note in found.notes)
    for shown in found.columns:
        yield from (f"doubt: {shown.column.name}: {doubt}" for doubt in merge_doubts(shown.column.doubts))


def _say_gates(found: "SpeedTable") -> Iterator[str]:
    for gate in found.gates:
        sizes = ", ".join(map(str, gate.exceptions))
        told = f"; it would not hold at batch {sizes}" if sizes and gate.result.outcome == "PASS" else ""
        yield f"{gate.result.outcome}: {gate.result.reason}{told}"


def list_speeds(found: "SpeedTable") -> dict[str, Any]:
    """Everything as plain values, every figure in full precision."""
    columns = [
        {
            "name": s.column.name,
            "origin": s.column.origin,
            "scope": s.basis.scope,
            "images_per_s_of": s.basis.unit,
            "chips_per_card": s.column.chips_per_card,
            "facts": dict(s.column.facts),
            "rates": [{"batch_size": n, "streams": f.streams, **_list_rate(f.rate)} for n, f in s.figures.items()],
            "best_batch_size": s.best[0],
            "doubts": list(s.column.doubts),
        }
        for s in found.columns
    ]
    ratios = [
        {
            "of": ratio.of,
            "to": ratio.to,
            "by_batch_size": {str(size): list_ratio(rate) for size, rate in ratio.by_size.items()},
            "best": list_ratio(ratio.best),
            "exceptions": list(ratio.exceptions),
        }
        for ratio in found.ratios
    ]
    gates = [{**gate.result.model_dump(mode="json"), "exceptions": list(gate.exceptions)} for gate in found.gates]
    judged = found.verdict
    outcome = {} if judged is None else {"outcome": judged.outcome, "exit_code": judged.exit_code}
    unlike = {kind: dict(values) for kind, values in found.unlike.items()}
    return {
        "columns": columns,
        "ratios": ratios,
        "unlike": unlike,
        "notes": list(found.notes),
        "gates": gates,
    } | outcome


def list_ratio(ratio: "Rate") -> dict[str, Any]:
    """A ratio as plain values; one that is withheld has none, and the reason."""
    return {"value": None, "low": None, "high": None, "withheld": ratio.doubt} if ratio.doubt else _list_rate(ratio)


def _list_rate(rate: "Rate") -> dict[str, float | None]:
    return {"value": rate.value, "low": rate.low, "high": rate.high}
